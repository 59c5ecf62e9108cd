# The real provider without AWS: a plan of new resources needs no AWS, and has the complete policies.
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

# AWS sets it during apply; with this value the plan shows what refers to it.
override_resource {
  target          = aws_iam_role.crawlers
  override_during = plan
  values          = { arn = "arn:aws:iam::123456789012:role/the-role" }
}

run "tables_are_those_of_the_contract" {
  command = plan

  assert {
    condition     = alltrue([for table in aws_glue_catalog_table.raw : length(table.partition_keys) == 0])
    error_message = "a table has partitions by default"
  }

  assert {
    condition     = aws_glue_catalog_database.lake.name == "shopease_catalog"
    error_message = "the database's name is not the one in the contract"
  }

  assert {
    condition = length(aws_glue_catalog_table.raw) == 21 && jsonencode({
      for name, table in aws_glue_catalog_table.raw : name => table.storage_descriptor[0].location
      }) == jsonencode({
      for name, table in jsondecode(file("catalog.json")).tables : name => "s3://shopease-stg/${table.folder}"
    })
    error_message = "tables or their locations differ from catalog.json"
  }

  assert {
    condition = jsonencode({
      for name, table in aws_glue_catalog_table.raw :
      name => [
        for column in table.storage_descriptor[0].columns :
        { name = column.name, type = column.type, comment = column.comment }
      ]
      }) == jsonencode({
      for name, table in jsondecode(file("catalog.json")).tables :
      name => [
        for column in table.columns :
        { name = column.name, type = column.type, comment = try(column.comment, null) }
      ]
    })
    error_message = "columns or their comments differ from catalog.json"
  }

  assert {
    condition = jsonencode({ for name, table in aws_glue_catalog_table.raw : name => table.description }) == jsonencode({
      for name, table in jsondecode(file("catalog.json")).tables : name => table.description
    })
    error_message = "descriptions differ from catalog.json"
  }

  assert {
    condition = alltrue([
      for name, table in aws_glue_catalog_table.raw :
      table.name == name && table.database_name == "shopease_catalog" && table.table_type == "EXTERNAL_TABLE"
    ])
    error_message = "a table's name is not its key, or the table is not external"
  }

  assert {
    condition = (
      aws_glue_catalog_table.raw["bronze_customers"].parameters["skip.header.line.count"] == "1" &&
      aws_glue_catalog_table.raw["bronze_customers"].storage_descriptor[0].ser_de_info[0].serialization_library == "org.apache.hadoop.hive.serde2.OpenCSVSerde" &&
      jsonencode(aws_glue_catalog_table.raw["bronze_customers"].storage_descriptor[0].ser_de_info[0].parameters) == jsonencode({
        escapeChar = "\u0001", quoteChar = "\"", separatorChar = ","
      })
    )
    error_message = "the header of CSV would be read as a row, or quotes or backslashes would be lost"
  }

  assert {
    condition = (
      aws_glue_catalog_table.raw["daily_sales_summary"].parameters["classification"] == "parquet" &&
      endswith(aws_glue_catalog_table.raw["daily_sales_summary"].storage_descriptor[0].input_format, "MapredParquetInputFormat") &&
      endswith(aws_glue_catalog_table.raw["daily_sales_summary"].storage_descriptor[0].ser_de_info[0].serialization_library, "ParquetHiveSerDe")
    )
    error_message = "gold must be Parquet"
  }
}

run "only_transactions_can_be_by_month" {
  command = plan

  variables {
    partitions = "month"
  }

  assert {
    condition = jsonencode({
      for name, table in aws_glue_catalog_table.raw :
      name => [for key in table.partition_keys : "${key.name} ${key.type}"] if length(table.partition_keys) > 0
      }) == jsonencode({
      for name in ["bronze_transactions", "quarantine_transactions", "silver_transactions"] : name => ["sale_month string"]
    })
    error_message = "the tables by month are not those of the contract"
  }

  assert {
    condition     = strcontains(output.environment, "\nSHOPEASE_PARTITIONS=month\n")
    error_message = "shopease would write the other layout"
  }
}

run "crawlers_change_nothing" {
  command = plan

  assert {
    condition = jsonencode({ for layer, crawler in aws_glue_crawler.layer : layer => crawler.name }) == jsonencode({
      bronze = "shopease-bronze-crawler", silver = "shopease-silver-crawler", gold = "shopease-gold-crawler"
    })
    error_message = "the crawlers' names are not those in the contract"
  }

  assert {
    condition = jsonencode({
      for layer, crawler in aws_glue_crawler.layer : layer => sort(crawler.catalog_target[0].tables)
      }) == jsonencode({
      bronze = ["bronze_customers", "bronze_inventory", "bronze_products", "bronze_sales_managers", "bronze_stores", "bronze_transactions"]
      silver = ["quarantine_customers", "quarantine_products", "quarantine_transactions", "silver_customers", "silver_products", "silver_transactions"]
      gold = [
        "cohort_retention", "customer_analytics", "customer_lifetime_value", "daily_sales_summary", "inventory_status",
        "monthly_channel_sales", "monthly_product_sales", "product_performance", "store_performance"
      ]
    })
    error_message = "the crawlers read other tables"
  }

  assert {
    condition = alltrue([
      for crawler in aws_glue_crawler.layer :
      length(crawler.s3_target) == 0 &&
      crawler.schema_change_policy[0].update_behavior == "LOG" &&
      crawler.schema_change_policy[0].delete_behavior == "LOG"
    ])
    error_message = "a crawler may change or delete tables"
  }

  assert {
    condition     = alltrue([for crawler in aws_glue_crawler.layer : crawler.schedule == null && crawler.security_configuration == null])
    error_message = "there must be no schedule and no key by default"
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
    error_message = "the role's name is not the one in the contract, or the crawlers do not use it"
  }
}
