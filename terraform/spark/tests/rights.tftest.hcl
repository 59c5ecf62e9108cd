# The real provider without AWS: a plan of new resources needs no AWS, and has the complete policies.
provider "aws" {
  region                      = "us-east-1"
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

override_data {
  target = data.aws_caller_identity.current
  values = { account_id = "123456789012" }
}

override_data {
  target = data.aws_subnet.first
  values = { vpc_id = "vpc-0123456789abcdef0" }
}

# AWS sets it during apply; with this value the plan shows the policies that contain it.
override_resource {
  target          = aws_emrserverless_application.spark
  override_during = plan
  values          = { arn = "arn:aws:emr-serverless:us-east-1:123456789012:/applications/00f1r2s3t4" }
}

variables {
  subnet_ids                 = ["subnet-0123456789abcdef0"]
  database_security_group_id = "sg-0123456789abcdef0"
}

run "a_job_may_do_what_shopease_may_and_this" {
  command = plan

  assert {
    condition     = aws_iam_role_policy_attachment.shopease.role == "shopease-spark" && aws_iam_role_policy_attachment.shopease.policy_arn == "arn:aws:iam::123456789012:policy/shopease-cli"
    error_message = "the jobs do not have the policy that terraform/ creates"
  }

  assert {
    condition = jsonencode({
      for statement in jsondecode(aws_iam_role_policy.job.policy).Statement :
      statement.Sid => [statement.Effect, sort(flatten([statement.Action])), sort(flatten([statement.Resource]))]
      }) == jsonencode({
      ReadCode = [
        "Allow", ["s3:GetObject"], ["arn:aws:s3:::shopease-stg/_spark/*.py", "arn:aws:s3:::shopease-stg/_spark/*.tar.gz"]
      ]
      WriteLogs = ["Allow", ["s3:PutObject"], ["arn:aws:s3:::shopease-stg/_spark/logs/*"]]
    })
    error_message = "the policy of the jobs is wrong"
  }

  assert {
    condition     = aws_iam_role_policy.job.role == "shopease-spark"
    error_message = "the policy must belong to the role"
  }

  assert {
    condition = jsonencode(jsondecode(aws_iam_role.job.assume_role_policy).Statement) == jsonencode([{
      Sid       = "AssumedByTheApplication"
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "emr-serverless.amazonaws.com" }
      Condition = {
        ArnLike = {
          "aws:SourceArn" = [
            "arn:aws:emr-serverless:us-east-1:123456789012:/applications/00f1r2s3t4",
            "arn:aws:emr-serverless:us-east-1:123456789012:/applications/00f1r2s3t4/jobruns/*",
          ]
        }
        StringEquals = { "aws:SourceAccount" = "123456789012" }
      }
    }])
    error_message = "only the application may assume the role"
  }
}

run "who_submits_may_do_exactly_this" {
  command = plan

  assert {
    condition = jsonencode({
      for statement in jsondecode(aws_iam_policy.submit.policy).Statement :
      statement.Sid => [statement.Effect, sort(flatten([statement.Action])), flatten([statement.Resource])]
      }) == jsonencode({
      StartAndListJobs = [
        "Allow", ["emr-serverless:ListJobRuns", "emr-serverless:StartJobRun"],
        ["arn:aws:emr-serverless:us-east-1:123456789012:/applications/00f1r2s3t4"]
      ]
      FollowAndCancelJobs = [
        "Allow", ["emr-serverless:CancelJobRun", "emr-serverless:GetJobRun"],
        ["arn:aws:emr-serverless:us-east-1:123456789012:/applications/00f1r2s3t4/jobruns/*"]
      ]
      GiveJobsTheirRole = ["Allow", ["iam:PassRole"], ["arn:aws:iam::123456789012:role/shopease-spark"]]
      FindObjects       = ["Allow", ["s3:ListBucket"], ["arn:aws:s3:::shopease-stg"]]
      WriteEntryScript = [
        "Allow", ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"], ["arn:aws:s3:::shopease-stg/_spark/*.py"]
      ]
      ReadLogs = ["Allow", ["s3:GetObject"], ["arn:aws:s3:::shopease-stg/_spark/logs/*"]]
    })
    error_message = "the policy for who submits is wrong"
  }

  assert {
    condition = jsonencode([
      for statement in jsondecode(aws_iam_policy.submit.policy).Statement : statement.Condition
      if can(statement.Condition)
    ]) == jsonencode([{ StringEquals = { "iam:PassedToService" = "emr-serverless.amazonaws.com" } }])
    error_message = "the role could be given to other services"
  }

  assert {
    condition     = aws_iam_policy.submit.name == "shopease-submit" && aws_iam_role.job.name == "shopease-spark"
    error_message = "the policy or the role has another name"
  }
}

run "a_prefix_and_a_project_narrow_all" {
  command = plan

  variables {
    prefix  = "teams/sales"
    project = "shop-two"
  }

  assert {
    condition = jsonencode(sort(distinct(flatten([
      for document in [aws_iam_policy.submit.policy, aws_iam_role_policy.job.policy] : [
        for statement in jsondecode(document).Statement : [
          for arn in flatten([statement.Resource]) : arn if startswith(arn, "arn:aws:s3:::shopease-stg/")
        ]
      ]
      ])))) == jsonencode([
      "arn:aws:s3:::shopease-stg/teams/sales/_spark/*.py",
      "arn:aws:s3:::shopease-stg/teams/sales/_spark/*.tar.gz",
      "arn:aws:s3:::shopease-stg/teams/sales/_spark/logs/*",
    ])
    error_message = "the policies allow objects outside the prefix"
  }

  assert {
    condition = (
      aws_iam_role_policy_attachment.shopease.policy_arn == "arn:aws:iam::123456789012:policy/shop-two-cli" &&
      strcontains(aws_iam_policy.submit.policy, "\"arn:aws:iam::123456789012:role/shop-two-spark\"") &&
      aws_iam_policy.submit.name == "shop-two-submit"
    )
    error_message = "the policies are those of another project"
  }
}

run "a_secret_and_keys_bring_their_statements" {
  command = plan

  variables {
    kms_key_arn                 = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    database_secret_arn         = "arn:aws:secretsmanager:us-east-1:123456789012:secret:rds!db-0123/shop-AbCd12"
    database_secret_kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/99999999-12ab-34cd-56ef-1234567890ab"
  }

  assert {
    condition = jsonencode([
      for statement in jsondecode(aws_iam_role_policy.job.policy).Statement :
      [statement.Sid, statement.Action, statement.Resource, try(statement.Condition, null)]
      if !contains(["ReadCode", "WriteLogs"], statement.Sid)
      ]) == jsonencode([
      ["ReadDatabaseSecret", "secretsmanager:GetSecretValue", var.database_secret_arn, null],
      [
        "DecryptDatabaseSecret", "kms:Decrypt", var.database_secret_kms_key_arn,
        { StringEquals = { "kms:ViaService" = "secretsmanager.us-east-1.amazonaws.com" } }
      ],
    ])
    error_message = "the jobs must be allowed to read the one secret, and to decrypt nothing else with its key"
  }

  assert {
    condition = jsonencode([
      for statement in jsondecode(aws_iam_policy.submit.policy).Statement :
      [statement.Sid, statement.Action, statement.Resource] if length(regexall("kms:|secretsmanager:", jsonencode(statement))) > 0
    ]) == jsonencode([["UseKeyOfLake", ["kms:Decrypt", "kms:GenerateDataKey"], [var.kms_key_arn]]])
    error_message = "who submits needs the key of the lake, and no secret"
  }
}
