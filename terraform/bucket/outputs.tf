output "bucket" {
  description = "The lake's bucket, which is the bucket_name of terraform/."
  value       = aws_s3_bucket.lake.id
}
