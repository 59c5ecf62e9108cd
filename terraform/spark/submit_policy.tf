# The rights of who submits jobs; one statement for each purpose.
data "aws_iam_policy_document" "submit" {
  statement {
    sid       = "StartJobs"
    actions   = ["emr-serverless:StartJobRun"]
    resources = [aws_emrserverless_application.spark.arn]
  }

  statement {
    sid       = "FollowAndCancelJobs"
    actions   = ["emr-serverless:CancelJobRun", "emr-serverless:GetJobRun"]
    resources = ["${aws_emrserverless_application.spark.arn}/jobruns/*"]
  }

  statement {
    sid       = "GiveJobsTheirRole"
    actions   = ["iam:PassRole"]
    resources = [local.role_arn]

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["emr-serverless.amazonaws.com"]
    }
  }

  # Without it, S3 answers that a log which is not there yet is forbidden.
  statement {
    sid       = "FindObjects"
    actions   = ["s3:ListBucket"]
    resources = [local.bucket_arn]
  }

  statement {
    sid       = "WriteEntryScript"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${local.spark_arn}*.py"]
  }

  statement {
    sid       = "ReadLogs"
    actions   = ["s3:GetObject"]
    resources = ["${local.spark_arn}logs/*"]
  }

  dynamic "statement" {
    for_each = local.kms_keys
    content {
      sid       = "UseKeyOfLake"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [statement.value]
    }
  }
}

resource "aws_iam_policy" "submit" {
  name        = "${var.project}-submit"
  description = "What `shopease submit` may do with ${local.name}."
  policy      = data.aws_iam_policy_document.submit.json
}
