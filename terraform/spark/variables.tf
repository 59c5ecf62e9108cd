variable "aws_region" {
  description = "The region of the application, as in terraform/; that of the subnets and of the bucket."
  type        = string
  default     = "us-east-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.aws_region))
    error_message = "aws_region must be a region, such as us-east-1 or eu-central-1."
  }
}

variable "project" {
  description = "The tag of all resources and the prefix of their names. As in terraform/, whose policy PROJECT-cli the jobs have."
  type        = string
  default     = "shopease"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,30}$", var.project))
    error_message = "project must have up to 31 lower-case letters, digits and dashes, and begin with a letter."
  }
}

variable "bucket_name" {
  description = "The lake's bucket, as in terraform/; it is not changed here."
  type        = string
  default     = "shopease-stg"

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.bucket_name))
    error_message = "bucket_name must be only the name of a bucket: no s3://, no prefix (use the variable prefix)."
  }
}

variable "prefix" {
  description = "The lake's folder in the bucket, as in terraform/; code and logs of the jobs are in its folder _spark/."
  type        = string
  default     = ""

  validation {
    # Characters with a meaning in IAM resources (* ? $) would extend the policies.
    condition     = can(regex("^([A-Za-z0-9_.=-]+(/[A-Za-z0-9_.=-]+)*)?$", var.prefix))
    error_message = "prefix may have only letters, digits, _ . = - and single slashes, and no slash at either end."
  }
}

variable "kms_key_arn" {
  description = "The customer key that encrypts the bucket, as in terraform/; null: keys that AWS manages."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key (…:key/…): IAM policies do not support aliases."
  }
}

variable "release_label" {
  description = "The release of EMR: one with Spark 4, and with the version of Python for which the archive is built."
  type        = string
  default     = "emr-spark-8.0.0"

  validation {
    condition     = can(regex("^emr-spark-[0-9]+(\\.[0-9]+){2}$", var.release_label))
    error_message = "release_label must be a release of EMR with Spark 4, such as emr-spark-8.0.0."
  }
}

variable "architecture" {
  description = "The processors of the workers, X86_64 or ARM64; the archive must be built on a machine with the same."
  type        = string
  default     = "X86_64"

  validation {
    condition     = contains(["X86_64", "ARM64"], var.architecture)
    error_message = "architecture must be X86_64 or ARM64."
  }
}

variable "image_uri" {
  description = "An image of your own for the workers, in ECR, made from AWS's for the release; null: AWS's. Such as one with another Python."
  type        = string
  default     = null

  validation {
    condition     = var.image_uri == null || can(regex("^[0-9]{12}\\.dkr\\.ecr\\.[a-z0-9.-]+/[a-z0-9._/-]+(:[A-Za-z0-9._-]+|@sha256:[0-9a-f]{64})$", var.image_uri))
    error_message = "image_uri must be an image in ECR with its tag or digest, such as 123456789012.dkr.ecr.us-east-1.amazonaws.com/spark:1."
  }
}

variable "idle_minutes" {
  description = "The minutes without a job after which the application stops."
  type        = number
  default     = 15

  validation {
    condition     = var.idle_minutes >= 1 && var.idle_minutes <= 10080 && floor(var.idle_minutes) == var.idle_minutes
    error_message = "idle_minutes must be a whole number from 1 to 10080, a week."
  }
}

variable "maximum_vcpu" {
  description = "The most vCPUs that jobs use at a time; the account has a quota of its own."
  type        = number
  default     = 16

  validation {
    condition     = var.maximum_vcpu >= 2 && floor(var.maximum_vcpu) == var.maximum_vcpu
    error_message = "maximum_vcpu must be a whole number, at least 2: one worker for the driver and one for the tasks."
  }
}

variable "maximum_memory_gb" {
  description = "The most memory in GB that jobs use at a time."
  type        = number
  default     = 64

  validation {
    condition     = var.maximum_memory_gb >= 4 && floor(var.maximum_memory_gb) == var.maximum_memory_gb
    error_message = "maximum_memory_gb must be a whole number, at least 4."
  }
}

variable "maximum_disk_gb" {
  description = "The most disk in GB that jobs use at a time; a worker has at least 20 GB."
  type        = number
  default     = 200

  validation {
    condition     = var.maximum_disk_gb >= 40 && floor(var.maximum_disk_gb) == var.maximum_disk_gb
    error_message = "maximum_disk_gb must be a whole number, at least 40: two workers have 20 GB each."
  }
}

variable "subnet_ids" {
  description = <<-EOT
    The subnets of the jobs, all in the VPC from which the database can be reached; better in several zones. They need
    a way to S3, Glue, Athena and Secrets Manager: endpoints of the VPC, or a NAT gateway.
  EOT
  type        = list(string)
  nullable    = false

  validation {
    condition = (
      length(var.subnet_ids) >= 1 && length(var.subnet_ids) <= 16 &&
      length(distinct(var.subnet_ids)) == length(var.subnet_ids) &&
      alltrue([for subnet in var.subnet_ids : can(regex("^subnet-[0-9a-f]{8,17}$", subnet))])
    )
    error_message = "subnet_ids must be 1 to 16 different ids of subnets, such as subnet-0123456789abcdef0."
  }
}

variable "database_security_group_id" {
  description = "The security group of the database, to which the jobs may connect; null: use database_cidr_blocks."
  type        = string
  default     = null

  validation {
    condition     = var.database_security_group_id == null || can(regex("^sg-[0-9a-f]{8,17}$", var.database_security_group_id))
    error_message = "database_security_group_id must be the id of a security group, such as sg-0123456789abcdef0."
  }

  validation {
    condition     = var.database_security_group_id != null || length(var.database_cidr_blocks) > 0
    error_message = "database_security_group_id or database_cidr_blocks must be set, or no job could reach the database."
  }
}

variable "database_cidr_blocks" {
  description = "The addresses of a database without a security group (outside AWS, or in another region), such as 10.1.0.5/32."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition = alltrue([
      for block in var.database_cidr_blocks : can(cidrnetmask(block)) && !endswith(block, "/0")
    ])
    error_message = "database_cidr_blocks must be IPv4 blocks, such as 10.1.0.5/32, and not all addresses (/0)."
  }
}

variable "database_port" {
  description = "The port of the database, or of its pooler."
  type        = number
  default     = 5432

  validation {
    condition     = var.database_port >= 1 && var.database_port <= 65535 && floor(var.database_port) == var.database_port
    error_message = "database_port must be a whole number from 1 to 65535."
  }
}

variable "open_database" {
  description = "Whether to allow the jobs in the database's security group; if false, its owner must do it."
  type        = bool
  default     = true
  nullable    = false
}

variable "database_secret_arn" {
  description = "The secret in Secrets Manager with the URL of the database, which the jobs may read; null: they may read none."
  type        = string
  default     = null

  validation {
    # The six characters at the end are part of the ARN: without them, the policy would allow no secret.
    condition     = var.database_secret_arn == null || can(regex("^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@!-]+-[A-Za-z0-9]{6}$", var.database_secret_arn))
    error_message = "database_secret_arn must be the whole ARN of a secret, with the dash and six characters at its end."
  }
}

variable "database_secret_kms_key_arn" {
  description = "The customer key that encrypts the secret; null: the key that AWS manages."
  type        = string
  default     = null

  validation {
    condition     = var.database_secret_kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.database_secret_kms_key_arn))
    error_message = "database_secret_kms_key_arn must be the ARN of a key (…:key/…): IAM policies do not support aliases."
  }

  validation {
    condition     = var.database_secret_kms_key_arn == null || var.database_secret_arn != null
    error_message = "database_secret_kms_key_arn is the key of a secret: set database_secret_arn too."
  }
}

variable "archive_name" {
  description = "The packed environment in the folder _spark/, which `make spark-archive` builds."
  type        = string
  default     = "shopease-spark-0.2.0.tar.gz"

  validation {
    condition     = can(regex("^[A-Za-z0-9_.-]+\\.tar\\.gz$", var.archive_name))
    error_message = "archive_name must be the name of a .tar.gz file, without a folder."
  }
}
