output "application_id" {
  description = "The EMR Serverless application."
  value       = aws_emrserverless_application.spark.id
}

output "role_arn" {
  description = "The role of the jobs."
  value       = aws_iam_role.job.arn
}

output "submit_policy_arn" {
  description = "The policy for who submits jobs; attach it to the group of shopease, or to your own role."
  value       = aws_iam_policy.submit.arn
}

output "security_group_id" {
  description = "The security group of the jobs; if open_database is false, allow it in the database's group."
  value       = aws_security_group.jobs.id
}

output "spark_folder" {
  description = "Where the archive goes: `aws s3 cp dist/shopease-spark-VERSION.tar.gz` to here."
  value       = local.spark
}

output "environment" {
  description = "The settings of shopease for Spark: `terraform output -raw environment >> .env`."
  value = join("", concat(
    [
      "SHOPEASE_EMR_APPLICATION=${aws_emrserverless_application.spark.id}\n",
      "SHOPEASE_EMR_ROLE=${aws_iam_role.job.arn}\n",
      "SHOPEASE_SPARK_ARCHIVE=${local.spark}${var.archive_name}\n",
    ],
    [for secret in local.secrets : "SHOPEASE_DATABASE_SECRET=${secret}\n"],
  ))
}
