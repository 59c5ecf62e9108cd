locals {
  # Quarantine is written together with silver, so it is crawled with silver.
  crawled_layers = {
    bronze = ["bronze"]
    silver = ["silver", "quarantine"]
    gold   = ["gold"]
  }
  crawled_tables = {
    for crawler, layers in local.crawled_layers : crawler =>
    [for name, table in local.catalog.tables : name if contains(layers, table.layer)]
  }
}

# If every column is text, Glue's own classifier takes the header for data.
resource "aws_glue_classifier" "csv" {
  name = "${var.project}-csv"

  csv_classifier {
    allow_single_column    = true
    contains_header        = "PRESENT"
    delimiter              = ","
    disable_value_trimming = true
    quote_symbol           = "\""
    serde                  = "OpenCSVSerDe"
  }
}

resource "aws_glue_crawler" "layer" {
  for_each = local.crawled_tables

  name          = var.crawler_names[each.key]
  description   = "Compares the ${each.key} tables of ${aws_glue_catalog_database.lake.name} with their files, and logs differences."
  database_name = aws_glue_catalog_database.lake.name
  role          = aws_iam_role.crawlers.arn
  classifiers   = each.key == "gold" ? [] : [aws_glue_classifier.csv.name]
  schedule      = var.crawler_schedule
  # It supports only customer keys. Without one it is not set, and CloudWatch encrypts the logs with its own key.
  security_configuration = one(aws_glue_security_configuration.crawlers[*].name)

  # Declared tables, not folders: a crawler that creates tables gives the columns types (bigint, double), and then
  # OpenCSVSerDe fails on the first empty value of every query.
  catalog_target {
    database_name = aws_glue_catalog_database.lake.name
    tables        = [for name in each.value : aws_glue_catalog_table.raw[name].name]
  }

  # For the same reason it only logs differences. Glue requires LOG for deletions if the target is the catalog.
  schema_change_policy {
    update_behavior = "LOG"
    delete_behavior = "LOG"
  }

  configuration = jsonencode({
    Version       = 1.0
    CrawlerOutput = { Partitions = { AddOrUpdateBehavior = "InheritFromTable" } }
    Grouping      = { TableGroupingPolicy = "CombineCompatibleSchemas" }
  })

  # If a crawler starts before its role may read, it fails and stays failed until the next start.
  depends_on = [aws_iam_role_policy.crawlers]
}

resource "aws_glue_security_configuration" "crawlers" {
  count = length(local.kms_keys)
  name  = "${var.project}-crawlers"

  encryption_configuration {
    cloudwatch_encryption {
      cloudwatch_encryption_mode = "SSE-KMS"
      kms_key_arn                = var.kms_key_arn
    }

    job_bookmarks_encryption {
      job_bookmarks_encryption_mode = "CSE-KMS"
      kms_key_arn                   = var.kms_key_arn
    }

    s3_encryption {
      s3_encryption_mode = "SSE-KMS"
      kms_key_arn        = var.kms_key_arn
    }
  }
}
