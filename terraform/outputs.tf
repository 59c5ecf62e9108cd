output "bucket" {
  description = "The lake's bucket; `destroy` does not change it."
  value       = var.bucket_name
}

output "database" {
  description = "The Glue database."
  value       = aws_glue_catalog_database.lake.name
}

output "workgroup" {
  description = "The Athena workgroup."
  value       = aws_athena_workgroup.analytics.name
}

output "crawlers" {
  description = "The name of each layer's crawler."
  value       = { for layer, crawler in aws_glue_crawler.layer : layer => crawler.name }
}

output "policy_arn" {
  description = "The policy of shopease; attach it to your own role if create_user is false."
  value       = aws_iam_policy.shopease.arn
}

output "user" {
  description = "The user of shopease, null if create_user is false; `aws iam create-access-key --user-name` creates its key."
  value       = one(aws_iam_user.shopease[*].name)
}

output "alerts_topic_arn" {
  description = "The SNS topic for alerts about failed crawlers and large scans."
  value       = aws_sns_topic.alerts.arn
}

output "environment" {
  description = "The settings of shopease for this stack: `terraform output -raw environment >> .env`."
  value = join("", concat(
    [
      "SHOPEASE_LAKE=${trimsuffix(local.lake, "/")}\n",
      "SHOPEASE_GLUE_DATABASE=${aws_glue_catalog_database.lake.name}\n",
      "SHOPEASE_ATHENA_WORKGROUP=${aws_athena_workgroup.analytics.name}\n",
      "SHOPEASE_CRAWLERS=${join(",", [for layer in ["bronze", "silver", "gold"] : aws_glue_crawler.layer[layer].name])}\n",
    ],
    var.partitions == "none" ? [] : ["SHOPEASE_PARTITIONS=${var.partitions}\n"],
    # Without these the objects get the bucket's default encryption, which may be another.
    [for key in local.kms_keys : "SHOPEASE_S3_ENCRYPTION=aws:kms\nSHOPEASE_S3_KMS_KEY=${key}\n"],
  ))
}
