# The real provider, but nobody is asked: plans of what is not there yet need no AWS, and render the policies in full.
provider "aws" {
  region                      = "us-east-1"
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

override_data {
  target = data.aws_caller_identity.current
  values = { account_id = "123456789012" }
}

# AWS gives it at the apply; here a plan shows what is bound to it.
override_resource {
  target          = aws_iam_role.crawlers
  override_during = plan
  values          = { arn = "arn:aws:iam::123456789012:role/the-role" }
}

run "tables_are_those_of_the_contract" {
  command = plan

  assert {
    condition     = aws_glue_catalog_database.lake.name == "shopease_catalog"
    error_message = "the database has another name than the contract's"
  }

  assert {
    condition = length(aws_glue_catalog_table.raw) == 15 && jsonencode({
      for name, table in aws_glue_catalog_table.raw : name => table.storage_descriptor[0].location
      }) == jsonencode({
      for name, table in jsondecode(file("catalog.json")).tables : name => "s3://shopease-stg/${table.folder}"
    })
    error_message = "tables or their locations are others than catalog.json's"
  }

  assert {
    condition = jsonencode({
      for name, table in aws_glue_catalog_table.raw :
      name => [for column in table.storage_descriptor[0].columns : { name = column.name, type = column.type }]
    }) == jsonencode({ for name, table in jsondecode(file("catalog.json")).tables : name => table.columns })
    error_message = "columns are others than catalog.json's"
  }

  assert {
    condition = alltrue([
      for name, table in aws_glue_catalog_table.raw :
      table.name == name && table.database_name == "shopease_catalog" && table.table_type == "EXTERNAL_TABLE"
    ])
    error_message = "a table has another name than its key, or is none over files"
  }

  assert {
    condition = (
      aws_glue_catalog_table.raw["bronze_customers"].parameters["skip.header.line.count"] == "1" &&
      aws_glue_catalog_table.raw["bronze_customers"].storage_descriptor[0].ser_de_info[0].serialization_library == "org.apache.hadoop.hive.serde2.OpenCSVSerde" &&
      jsonencode(aws_glue_catalog_table.raw["bronze_customers"].storage_descriptor[0].ser_de_info[0].parameters) == jsonencode({
        escapeChar = "\u0001", quoteChar = "\"", separatorChar = ","
      })
    )
    error_message = "CSV would be read with its header as a row, or lose quotes or backslashes"
  }

  assert {
    condition = (
      aws_glue_catalog_table.raw["daily_sales_summary"].parameters["classification"] == "parquet" &&
      endswith(aws_glue_catalog_table.raw["daily_sales_summary"].storage_descriptor[0].input_format, "MapredParquetInputFormat") &&
      endswith(aws_glue_catalog_table.raw["daily_sales_summary"].storage_descriptor[0].ser_de_info[0].serialization_library, "ParquetHiveSerDe")
    )
    error_message = "gold is Parquet"
  }
}

run "crawlers_look_and_change_nothing" {
  command = plan

  assert {
    condition = jsonencode({ for layer, crawler in aws_glue_crawler.layer : layer => crawler.name }) == jsonencode({
      bronze = "shopease-bronze-crawler", silver = "shopease-silver-crawler", gold = "shopease-gold-crawler"
    })
    error_message = "the crawlers have other names than the contract's"
  }

  assert {
    condition = jsonencode({
      for layer, crawler in aws_glue_crawler.layer : layer => sort(crawler.catalog_target[0].tables)
      }) == jsonencode({
      bronze = ["bronze_customers", "bronze_inventory", "bronze_products", "bronze_sales_managers", "bronze_stores", "bronze_transactions"]
      silver = ["quarantine_customers", "quarantine_products", "quarantine_transactions", "silver_customers", "silver_products", "silver_transactions"]
      gold   = ["customer_analytics", "daily_sales_summary", "product_performance"]
    })
    error_message = "the crawlers look over other tables"
  }

  assert {
    condition = alltrue([
      for crawler in aws_glue_crawler.layer :
      length(crawler.s3_target) == 0 &&
      crawler.schema_change_policy[0].update_behavior == "LOG" &&
      crawler.schema_change_policy[0].delete_behavior == "LOG"
    ])
    error_message = "a crawler may retype or delete tables"
  }

  assert {
    condition     = alltrue([for crawler in aws_glue_crawler.layer : crawler.schedule == null && crawler.security_configuration == null])
    error_message = "nobody asked for a schedule or a key"
  }

  assert {
    condition = (
      jsonencode(aws_glue_crawler.layer["bronze"].classifiers) == jsonencode(["shopease-csv"]) &&
      jsonencode(aws_glue_crawler.layer["silver"].classifiers) == jsonencode(["shopease-csv"]) &&
      aws_glue_classifier.csv.csv_classifier[0].contains_header == "PRESENT" &&
      aws_glue_classifier.csv.csv_classifier[0].disable_value_trimming &&
      aws_glue_classifier.csv.csv_classifier[0].serde == "OpenCSVSerDe"
    )
    error_message = "the header of CSV would be guessed, or its values trimmed"
  }

  assert {
    condition = (
      aws_iam_role.crawlers.name == "GlueServiceRole" &&
      alltrue([for crawler in aws_glue_crawler.layer : crawler.role == aws_iam_role.crawlers.arn])
    )
    error_message = "the role has another name than the contract's, or is not the crawlers'"
  }
}
