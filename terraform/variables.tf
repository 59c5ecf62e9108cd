variable "aws_region" {
  description = "The region of the catalog, the crawlers, the workgroup and the alerts; best the bucket's."
  type        = string
  default     = "us-east-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.aws_region))
    error_message = "aws_region is written as us-east-1 or eu-central-1."
  }
}

variable "project" {
  description = "Tag of everything, and what the names that have no variable of their own begin with."
  type        = string
  default     = "shopease"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,30}$", var.project))
    error_message = "project is up to 31 lower-case letters, digits and dashes, and begins with a letter."
  }
}

variable "bucket_name" {
  description = "The lake's bucket. It exists already (terraform/bucket makes one), in this account; nothing here changes it."
  type        = string
  default     = "shopease-stg"

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.bucket_name))
    error_message = "bucket_name is the bare name of a bucket: no s3://, no prefix (that is the variable prefix)."
  }
}

variable "prefix" {
  description = "The lake's folder in the bucket, as in SHOPEASE_LAKE=s3://BUCKET/PREFIX; empty: the whole bucket."
  type        = string
  default     = ""

  validation {
    # Letters that mean something in an IAM resource (* ? $) would widen the policies.
    condition     = can(regex("^([A-Za-z0-9_.=-]+(/[A-Za-z0-9_.=-]+)*)?$", var.prefix))
    error_message = "prefix has no slash at either end, none twice, and only letters, digits and _ . = - besides."
  }
}

variable "kms_key_arn" {
  description = <<-EOT
    The customer key that encrypts the bucket, and then also query results, the crawlers' logs and the alerts' topic;
    null: keys that AWS manages. The key's own policy must let logs.REGION.amazonaws.com encrypt (kms:Encrypt*,
    kms:Decrypt*, kms:ReEncrypt*, kms:GenerateDataKey*, kms:Describe*), and events.amazonaws.com and
    cloudwatch.amazonaws.com publish (kms:GenerateDataKey*, kms:Decrypt; EventBridge takes no aws:SourceAccount there).
  EOT
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "kms_key_arn is the ARN of a key (…:key/…): IAM policies do not know aliases."
  }
}

variable "database_name" {
  description = "The Glue database."
  type        = string
  default     = "shopease_catalog"

  validation {
    condition     = can(regex("^[a-z][a-z0-9_]{0,127}$", var.database_name))
    error_message = "database_name has lower-case letters, digits and underscores only: Athena's SQL needs no quotes for such."
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
    error_message = "A crawler's name has letters, digits, dashes and underscores only: it becomes part of an ARN and of a list."
  }

  validation {
    condition     = length(distinct(values(var.crawler_names))) == 3
    error_message = "The three crawlers need three names."
  }
}

variable "crawler_schedule" {
  description = "When the crawlers run by themselves, as cron(15 12 * * ? *) in UTC; null: when `shopease crawl --crawlers` starts them."
  type        = string
  default     = null

  validation {
    condition     = var.crawler_schedule == null || can(regex("^cron\\(\\S+( \\S+){5}\\)$", var.crawler_schedule))
    error_message = "crawler_schedule is a cron(…) of AWS, with six fields."
  }
}

variable "role_name" {
  description = "The role that the crawlers assume."
  type        = string
  default     = "GlueServiceRole"

  validation {
    condition     = can(regex("^[A-Za-z0-9_+=,.@-]{1,64}$", var.role_name))
    error_message = "role_name is the bare name of a role, not its ARN."
  }
}

variable "workgroup_name" {
  description = "The Athena workgroup in which shopease queries."
  type        = string
  default     = "shopease-analytics"

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]{1,128}$", var.workgroup_name))
    error_message = "workgroup_name has letters, digits, dots, dashes and underscores only."
  }
}

variable "athena_scan_limit_bytes" {
  description = "Athena cancels a query that scans more than this; the default, 10 GiB, costs about 5 cents."
  type        = number
  default     = 10737418240

  validation {
    condition     = var.athena_scan_limit_bytes >= 10485760 && floor(var.athena_scan_limit_bytes) == var.athena_scan_limit_bytes
    error_message = "athena_scan_limit_bytes is a whole number of bytes, at least 10485760 (10 MiB): Athena takes no smaller limit."
  }
}

variable "athena_alarm_bytes" {
  description = "An alarm is raised when all queries of a day scan more than this; the default, 100 GiB, costs about 50 cents."
  type        = number
  default     = 107374182400

  validation {
    condition     = var.athena_alarm_bytes > 0
    error_message = "athena_alarm_bytes is more than 0: at 0 every query would raise the alarm."
  }
}

variable "create_user" {
  description = "Whether to create the user of shopease, in a group with the policy; else attach the output policy_arn to a role of yours."
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
    error_message = "user_name is the bare name of a user, not its ARN."
  }
}

variable "alert_email" {
  description = "Who is told of failed crawlers and of much scanned; AWS asks the address to confirm. Null: nobody yet."
  type        = string
  default     = null

  validation {
    condition     = var.alert_email == null || can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", var.alert_email))
    error_message = "alert_email is one e-mail address."
  }
}
