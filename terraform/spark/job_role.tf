# What a job needs beside the rights of shopease.
data "aws_iam_policy_document" "job" {
  statement {
    sid       = "ReadCode"
    actions   = ["s3:GetObject"]
    resources = ["${local.spark_arn}*.tar.gz", "${local.spark_arn}*.py"]
  }

  statement {
    sid       = "WriteLogs"
    actions   = ["s3:PutObject"]
    resources = ["${local.spark_arn}logs/*"]
  }

  dynamic "statement" {
    for_each = local.secrets
    content {
      sid       = "ReadDatabaseSecret"
      actions   = ["secretsmanager:GetSecretValue"]
      resources = [statement.value]
    }
  }

  dynamic "statement" {
    for_each = local.secret_keys
    content {
      sid       = "DecryptDatabaseSecret"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["secretsmanager.${var.aws_region}.${data.aws_partition.current.dns_suffix}"]
      }
    }
  }
}

resource "aws_iam_role" "job" {
  name        = local.name
  description = "The rights of the jobs of ${local.name}."
  # Not a policy document of its own as others here: with the application's ARN in it, a plan would not show it.
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "AssumedByTheApplication"
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "emr-serverless.amazonaws.com" }
      Condition = {
        ArnLike      = { "aws:SourceArn" = [local.application_arn, local.job_runs_arn] }
        StringEquals = { "aws:SourceAccount" = local.account_id }
      }
    }]
  })
}

resource "aws_iam_role_policy" "job" {
  name   = local.name
  role   = aws_iam_role.job.name
  policy = data.aws_iam_policy_document.job.json
}

resource "aws_iam_role_policy_attachment" "shopease" {
  role       = aws_iam_role.job.name
  policy_arn = local.policy_arn
}
