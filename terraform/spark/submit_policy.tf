# The rights of who submits jobs; one statement for each purpose.
resource "aws_iam_policy" "submit" {
  name        = "${var.project}-submit"
  description = "What `shopease submit` may do with ${local.name}."

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid      = "StartAndListJobs"
          Effect   = "Allow"
          Action   = ["emr-serverless:ListJobRuns", "emr-serverless:StartJobRun"]
          Resource = [local.application_arn]
        },
        {
          Sid      = "FollowAndCancelJobs"
          Effect   = "Allow"
          Action   = ["emr-serverless:CancelJobRun", "emr-serverless:GetJobRun"]
          Resource = [local.job_runs_arn]
        },
        {
          Sid       = "GiveJobsTheirRole"
          Effect    = "Allow"
          Action    = ["iam:PassRole"]
          Resource  = [local.role_arn]
          Condition = { StringEquals = { "iam:PassedToService" = "emr-serverless.amazonaws.com" } }
        },
        # Without it, S3 answers that a log which is not there yet is forbidden.
        {
          Sid      = "FindObjects"
          Effect   = "Allow"
          Action   = ["s3:ListBucket"]
          Resource = [local.bucket_arn]
        },
        {
          Sid      = "WriteEntryScript"
          Effect   = "Allow"
          Action   = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"]
          Resource = ["${local.spark_arn}*.py"]
        },
        {
          Sid      = "ReadLogs"
          Effect   = "Allow"
          Action   = ["s3:GetObject"]
          Resource = ["${local.spark_arn}logs/*"]
        },
      ],
      [
        for key in local.kms_keys : {
          Sid      = "UseKeyOfLake"
          Effect   = "Allow"
          Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
          Resource = [key]
        }
      ],
    )
  })
}
