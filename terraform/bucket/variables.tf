variable "aws_region" {
  description = "The bucket's region."
  type        = string
  default     = "us-east-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.aws_region))
    error_message = "aws_region must be a region, such as us-east-1 or eu-central-1."
  }
}

variable "project" {
  description = "The tag of the bucket."
  type        = string
  default     = "shopease"
}

variable "bucket_name" {
  description = "The lake's bucket. Bucket names are globally unique: if this one is taken, choose another."
  type        = string
  default     = "shopease-stg"

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket_name))
    error_message = "bucket_name must have 3 to 63 lower-case letters, digits and dashes (dots would break TLS), and no prefix."
  }
}

variable "prefix" {
  description = "The lake's folder in the bucket, as in SHOPEASE_LAKE=s3://BUCKET/PREFIX; empty: the whole bucket."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^([A-Za-z0-9_.=-]+(/[A-Za-z0-9_.=-]+)*)?$", var.prefix))
    error_message = "prefix may have only letters, digits, _ . = - and single slashes, and no slash at either end."
  }
}

variable "kms_key_arn" {
  description = "The customer key that encrypts the bucket; set it in terraform/ too. Null: S3's own keys (AES256)."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key (…:key/…): IAM policies do not support aliases."
  }
}

variable "incomplete_upload_days" {
  description = "The days after which the parts of an unfinished upload are deleted."
  type        = number
  default     = 2

  validation {
    condition     = var.incomplete_upload_days >= 1 && floor(var.incomplete_upload_days) == var.incomplete_upload_days
    error_message = "incomplete_upload_days must be a whole number, at least 1."
  }
}

variable "query_result_days" {
  description = "The days after which Athena's results are deleted; queries can be run again."
  type        = number
  default     = 7

  validation {
    condition     = var.query_result_days >= 1 && floor(var.query_result_days) == var.query_result_days
    error_message = "query_result_days must be a whole number, at least 1."
  }
}

variable "old_version_days" {
  description = "The days for which an overwritten or deleted object can be restored."
  type        = number
  default     = 30

  validation {
    condition     = var.old_version_days >= 1 && floor(var.old_version_days) == var.old_version_days
    error_message = "old_version_days must be a whole number, at least 1."
  }
}
