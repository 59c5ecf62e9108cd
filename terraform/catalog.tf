# `make format` writes catalog.json from the data contract in Python; change tables and columns there.
locals {
  catalog = jsondecode(file("${path.module}/catalog.json"))
}

resource "aws_glue_catalog_database" "lake" {
  name        = var.database_name
  description = "The lake ${local.lake}: raw tables, and typed views on them."
}

resource "aws_glue_catalog_table" "raw" {
  for_each = local.catalog.tables

  database_name = aws_glue_catalog_database.lake.name
  name          = each.key
  description   = each.value.description
  table_type    = "EXTERNAL_TABLE"
  parameters    = local.catalog.formats[each.value.format].parameters

  storage_descriptor {
    location      = "${local.lake}${each.value.folder}"
    input_format  = local.catalog.formats[each.value.format].input_format
    output_format = local.catalog.formats[each.value.format].output_format

    ser_de_info {
      serialization_library = local.catalog.formats[each.value.format].serde
      parameters            = local.catalog.formats[each.value.format].serde_parameters
    }

    dynamic "columns" {
      for_each = each.value.columns
      content {
        name    = columns.value.name
        type    = columns.value.type
        comment = try(columns.value.comment, null)
      }
    }
  }

  dynamic "partition_keys" {
    for_each = var.partitions == "month" ? each.value.partition_keys : []
    content {
      name = partition_keys.value.name
      type = partition_keys.value.type
    }
  }

  lifecycle {
    # CSV columns are read by position. A source may have more columns than the contract, or another order: then
    # `shopease crawl` sets the columns from the files' headers, and records in the parameters what it found. If an
    # apply restored the contract's columns, every query would return shifted values until the next crawl.
    # Partition keys are those of the layout that the files have: `shopease crawl` replaces a table when it changes.
    ignore_changes = [parameters, partition_keys, storage_descriptor[0].columns]
  }
}
