output "bucket" {
  description = "The lake's bucket, for the variable bucket_name of terraform/."
  value       = aws_s3_bucket.lake.id
}
