# Written by `make format` from the contract in Python, which is where a table or a column is changed.
locals {
  catalog = jsondecode(file("${path.module}/catalog.json"))
}

resource "aws_glue_catalog_database" "lake" {
  name        = var.database_name
  description = "The lake ${local.lake}: raw tables, and the views over them that people query."
}

resource "aws_glue_catalog_table" "raw" {
  for_each = local.catalog.tables

  database_name = aws_glue_catalog_database.lake.name
  name          = each.key
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
        name = columns.value.name
        type = columns.value.type
      }
    }
  }

  lifecycle {
    # CSV is read by the position of a column. A source may have more columns than the contract, or another order:
    # `shopease crawl` then sets the columns from the files' headers, and notes in the parameters what it found. An
    # apply that put the contract's columns back would shift the values of every query until the next crawl.
    ignore_changes = [parameters, storage_descriptor[0].columns]
  }
}
