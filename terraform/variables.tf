variable "aws_region" {
  description = "The region of the catalog, the crawlers, the workgroup and the alerts; preferably that of the bucket."
  type        = string
  default     = "us-east-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.aws_region))
    error_message = "aws_region must be a region, such as us-east-1 or eu-central-1."
  }
}

variable "project" {
  description = "The tag of all resources, and the prefix of all names that have no variable."
  type        = string
  default     = "shopease"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,30}$", var.project))
    error_message = "project must have up to 31 lower-case letters, digits and dashes, and begin with a letter."
  }
}

variable "bucket_name" {
  description = "The lake's bucket. It must exist in this account (terraform/bucket creates one); it is not changed here."
  type        = string
  default     = "shopease-stg"

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.bucket_name))
    error_message = "bucket_name must be only the name of a bucket: no s3://, no prefix (use the variable prefix)."
  }
}

variable "prefix" {
  description = "The lake's folder in the bucket, as in SHOPEASE_LAKE=s3://BUCKET/PREFIX; empty: the whole bucket."
  type        = string
  default     = ""

  validation {
    # Characters with a meaning in IAM resources (* ? $) would extend the policies.
    condition     = can(regex("^([A-Za-z0-9_.=-]+(/[A-Za-z0-9_.=-]+)*)?$", var.prefix))
    error_message = "prefix may have only letters, digits, _ . = - and single slashes, and no slash at either end."
  }
}

variable "kms_key_arn" {
  description = <<-EOT
    The customer key that encrypts the bucket, query results, the crawlers' logs and the topic of the alerts; null:
    keys that AWS manages. The key's own policy must allow logs.REGION.amazonaws.com to encrypt (kms:Encrypt*,
    kms:Decrypt*, kms:ReEncrypt*, kms:GenerateDataKey*, kms:Describe*), and events.amazonaws.com and
    cloudwatch.amazonaws.com to publish (kms:GenerateDataKey*, kms:Decrypt; without a condition on aws:SourceAccount,
    which EventBridge does not support there).
  EOT
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key (…:key/…): IAM policies do not support aliases."
  }
}

variable "database_name" {
  description = "The Glue database."
  type        = string
  default     = "shopease_catalog"

  validation {
    condition     = can(regex("^[a-z][a-z0-9_]{0,127}$", var.database_name))
    error_message = "database_name may have only lower-case letters, digits and underscores, which need no quotes in Athena's SQL."
  }
}

variable "partitions" {
  description = <<-EOT
    How shopease keeps transactions, as in SHOPEASE_PARTITIONS: `none` or `month`. It is for tables that do not exist
    yet; `shopease crawl` replaces them when the layout of the files changes.
  EOT
  type        = string
  default     = "none"

  validation {
    condition     = contains(["none", "month"], var.partitions)
    error_message = "partitions must be none or month."
  }
}

variable "crawler_names" {
  description = "The name of each layer's crawler."
  type = object({
    bronze = optional(string, "shopease-bronze-crawler")
    silver = optional(string, "shopease-silver-crawler")
    gold   = optional(string, "shopease-gold-crawler")
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for name in values(var.crawler_names) : can(regex("^[A-Za-z0-9_-]{1,128}$", name))])
    error_message = "crawler_names may have only letters, digits, dashes and underscores, because they are used in ARNs and in a list."
  }

  validation {
    condition     = length(distinct(values(var.crawler_names))) == 3
    error_message = "crawler_names must be three different names."
  }
}

variable "crawler_schedule" {
  description = "The schedule of the crawlers in UTC, such as cron(15 12 * * ? *); null: only `shopease crawl --crawlers` starts them."
  type        = string
  default     = null

  validation {
    condition     = var.crawler_schedule == null || can(regex("^cron\\(\\S+( \\S+){5}\\)$", var.crawler_schedule))
    error_message = "crawler_schedule must be a cron(…) expression of AWS with six fields."
  }
}

variable "role_name" {
  description = "The role of the crawlers."
  type        = string
  default     = "GlueServiceRole"

  validation {
    condition     = can(regex("^[A-Za-z0-9_+=,.@-]{1,64}$", var.role_name))
    error_message = "role_name must be the name of a role, not its ARN."
  }
}

variable "workgroup_name" {
  description = "The Athena workgroup for the queries of shopease."
  type        = string
  default     = "shopease-analytics"

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]{1,128}$", var.workgroup_name))
    error_message = "workgroup_name may have only letters, digits, dots, dashes and underscores."
  }
}

variable "athena_scan_limit_bytes" {
  description = "Athena cancels a query that scans more than this; the default, 10 GiB, costs about 5 cents."
  type        = number
  default     = 10737418240

  validation {
    condition     = var.athena_scan_limit_bytes >= 10485760 && floor(var.athena_scan_limit_bytes) == var.athena_scan_limit_bytes
    error_message = "athena_scan_limit_bytes must be a whole number of bytes, at least 10485760 (10 MiB), Athena's smallest limit."
  }
}

variable "athena_alarm_bytes" {
  description = "An alarm is sent if all queries of a day scan more than this; the default, 100 GiB, costs about 50 cents."
  type        = number
  default     = 107374182400

  validation {
    condition     = var.athena_alarm_bytes > 0
    error_message = "athena_alarm_bytes must be more than 0, or every query would send an alarm."
  }
}

variable "create_user" {
  description = "Whether to create the user of shopease, in a group with the policy. If false, attach the output policy_arn to your own role."
  type        = bool
  default     = true
  nullable    = false
}

variable "user_name" {
  description = "The user of shopease."
  type        = string
  default     = "shopease_user"

  validation {
    condition     = can(regex("^[A-Za-z0-9_+=,.@-]{1,64}$", var.user_name))
    error_message = "user_name must be the name of a user, not its ARN."
  }
}

variable "alert_email" {
  description = "The e-mail address for alerts about failed crawlers and large scans; AWS asks it to confirm. Null: no e-mail."
  type        = string
  default     = null

  validation {
    condition     = var.alert_email == null || can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", var.alert_email))
    error_message = "alert_email must be one e-mail address."
  }
}
