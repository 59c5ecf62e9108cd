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

# AWS sets it during apply; with this value the plan shows what the policy is attached to.
override_resource {
  target          = aws_iam_policy.shopease
  override_during = plan
  values          = { arn = "arn:aws:iam::123456789012:policy/the-policy" }
}

run "shopease_may_do_exactly_this" {
  command = plan

  assert {
    condition = jsonencode({
      for statement in jsondecode(aws_iam_policy.shopease.policy).Statement :
      statement.Sid => sort(flatten([statement.Action]))
      }) == jsonencode({
      ListLake                     = ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"]
      CheckBucket                  = ["s3:GetBucketVersioning", "s3:GetEncryptionConfiguration", "s3:GetLifecycleConfiguration"]
      ReadAndWriteLayers           = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:GetObjectVersion", "s3:ListMultipartUploadParts", "s3:PutObject"]
      WriteQueryResults            = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"]
      RunCrawlers                  = ["glue:GetCrawler", "glue:StartCrawler", "glue:StopCrawler"]
      ReadCatalog                  = ["glue:BatchGetPartition", "glue:GetDatabase", "glue:GetDatabases", "glue:GetPartition", "glue:GetPartitions", "glue:GetTable", "glue:GetTables"]
      LetAthenaFindDefaultDatabase = ["glue:GetDatabase"]
      RegisterTablesAndViews       = ["glue:CreateTable", "glue:UpdateTable"]
      RegisterMonths               = ["glue:BatchCreatePartition", "glue:BatchUpdatePartition", "glue:DeletePartition", "glue:DeleteTable"]
      Query                        = ["athena:GetQueryExecution", "athena:GetQueryResults", "athena:GetWorkGroup", "athena:StartQueryExecution", "athena:StopQueryExecution"]
    })
    error_message = "the actions of shopease's policy are wrong"
  }

  assert {
    condition = jsonencode({
      for statement in jsondecode(aws_iam_policy.shopease.policy).Statement :
      statement.Sid => sort(flatten([statement.Resource]))
      }) == jsonencode({
      ListLake    = ["arn:aws:s3:::shopease-stg"]
      CheckBucket = ["arn:aws:s3:::shopease-stg"]
      ReadAndWriteLayers = [
        "arn:aws:s3:::shopease-stg/_runs/*",
        "arn:aws:s3:::shopease-stg/_state/*",
        "arn:aws:s3:::shopease-stg/bronze/*",
        "arn:aws:s3:::shopease-stg/gold/*",
        "arn:aws:s3:::shopease-stg/quarantine/*",
        "arn:aws:s3:::shopease-stg/silver/*",
      ]
      WriteQueryResults = ["arn:aws:s3:::shopease-stg/athena-results/*"]
      RunCrawlers = [
        "arn:aws:glue:us-east-1:123456789012:crawler/shopease-bronze-crawler",
        "arn:aws:glue:us-east-1:123456789012:crawler/shopease-gold-crawler",
        "arn:aws:glue:us-east-1:123456789012:crawler/shopease-silver-crawler",
      ]
      ReadCatalog = [
        "arn:aws:glue:us-east-1:123456789012:catalog",
        "arn:aws:glue:us-east-1:123456789012:database/shopease_catalog",
        "arn:aws:glue:us-east-1:123456789012:table/shopease_catalog/*",
      ]
      LetAthenaFindDefaultDatabase = ["arn:aws:glue:us-east-1:123456789012:database/default"]
      RegisterTablesAndViews = [
        "arn:aws:glue:us-east-1:123456789012:catalog",
        "arn:aws:glue:us-east-1:123456789012:database/shopease_catalog",
        "arn:aws:glue:us-east-1:123456789012:table/shopease_catalog/*",
      ]
      RegisterMonths = [
        "arn:aws:glue:us-east-1:123456789012:catalog",
        "arn:aws:glue:us-east-1:123456789012:database/shopease_catalog",
        "arn:aws:glue:us-east-1:123456789012:table/shopease_catalog/bronze_transactions",
        "arn:aws:glue:us-east-1:123456789012:table/shopease_catalog/quarantine_transactions",
        "arn:aws:glue:us-east-1:123456789012:table/shopease_catalog/silver_transactions",
      ]
      Query = ["arn:aws:athena:us-east-1:123456789012:workgroup/shopease-analytics"]
    })
    error_message = "the resources of shopease's policy are wrong"
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_policy.shopease.policy).Statement :
      statement.Effect == "Allow" && !can(statement.NotAction) && !can(statement.NotResource)
    ])
    error_message = "a statement with NotAction or NotResource allows everything else"
  }
}

run "the_crawlers_may_do_exactly_this" {
  command = plan

  assert {
    condition = jsonencode({
      for statement in jsondecode(aws_iam_role_policy.crawlers.policy).Statement :
      statement.Sid => sort(flatten([statement.Action]))
      }) == jsonencode({
      ListBucket          = ["s3:GetBucketLocation", "s3:ListBucket"]
      ReadLayers          = ["s3:GetObject"]
      CrawlDeclaredTables = ["glue:BatchGetPartition", "glue:BatchUpdatePartition", "glue:GetDatabase", "glue:GetPartition", "glue:GetPartitions", "glue:GetTable", "glue:GetTables", "glue:UpdatePartition", "glue:UpdateTable"]
      WriteLogs           = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]
    })
    error_message = "the actions of the crawlers' policy are wrong"
  }

  assert {
    condition = jsonencode({
      for statement in jsondecode(aws_iam_role_policy.crawlers.policy).Statement :
      statement.Sid => sort(flatten([statement.Resource]))
      }) == jsonencode({
      ListBucket = ["arn:aws:s3:::shopease-stg"]
      ReadLayers = [
        "arn:aws:s3:::shopease-stg/bronze/*",
        "arn:aws:s3:::shopease-stg/gold/*",
        "arn:aws:s3:::shopease-stg/quarantine/*",
        "arn:aws:s3:::shopease-stg/silver/*",
      ]
      CrawlDeclaredTables = [
        "arn:aws:glue:us-east-1:123456789012:catalog",
        "arn:aws:glue:us-east-1:123456789012:database/shopease_catalog",
        "arn:aws:glue:us-east-1:123456789012:table/shopease_catalog/*",
      ]
      WriteLogs = ["arn:aws:logs:us-east-1:123456789012:log-group:/aws-glue/crawlers*"]
    })
    error_message = "the resources of the crawlers' policy are wrong"
  }

  assert {
    condition = jsonencode(jsondecode(aws_iam_role.crawlers.assume_role_policy).Statement) == jsonencode([{
      Sid       = "AssumedByGlueOfThisAccount"
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "glue.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = "123456789012" } }
    }])
    error_message = "only Glue for this account may assume the role"
  }

  assert {
    condition     = aws_iam_role_policy.crawlers.role == "GlueServiceRole"
    error_message = "the policy must belong to the role"
  }
}

run "a_prefix_narrows_both_policies" {
  command = plan

  variables {
    prefix = "teams/sales"
  }

  assert {
    condition = jsonencode(sort(distinct(flatten([
      for document in [aws_iam_policy.shopease.policy, aws_iam_role_policy.crawlers.policy] : [
        for statement in jsondecode(document).Statement : [
          for arn in flatten([statement.Resource]) : arn if startswith(arn, "arn:aws:s3:::shopease-stg/")
        ]
      ]
      ])))) == jsonencode([
      "arn:aws:s3:::shopease-stg/teams/sales/_runs/*",
      "arn:aws:s3:::shopease-stg/teams/sales/_state/*",
      "arn:aws:s3:::shopease-stg/teams/sales/athena-results/*",
      "arn:aws:s3:::shopease-stg/teams/sales/bronze/*",
      "arn:aws:s3:::shopease-stg/teams/sales/gold/*",
      "arn:aws:s3:::shopease-stg/teams/sales/quarantine/*",
      "arn:aws:s3:::shopease-stg/teams/sales/silver/*",
    ])
    error_message = "the policies allow objects outside the prefix"
  }
}

run "a_key_brings_its_statements_and_no_others" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
  }

  assert {
    condition = jsonencode([
      for statement in jsondecode(aws_iam_policy.shopease.policy).Statement :
      [statement.Sid, sort(statement.Action), statement.Resource] if length(regexall("kms:", jsonencode(statement.Action))) > 0
      ]) == jsonencode([
      ["UseKeyOfLake", ["kms:Decrypt", "kms:GenerateDataKey"], var.kms_key_arn]
    ])
    error_message = "shopease must be allowed to encrypt and decrypt with the key, and nothing else"
  }

  assert {
    condition = jsonencode([
      for statement in jsondecode(aws_iam_role_policy.crawlers.policy).Statement :
      [statement.Sid, statement.Action, statement.Resource] if contains(["EncryptLogs", "ReadEncryptedObjects"], statement.Sid)
      ]) == jsonencode([
      ["EncryptLogs", "logs:AssociateKmsKey", "arn:aws:logs:us-east-1:123456789012:log-group:/aws-glue/crawlers*"],
      ["ReadEncryptedObjects", "kms:Decrypt", var.kms_key_arn],
    ])
    error_message = "the crawlers must be allowed to decrypt with the key and to encrypt their logs"
  }

  assert {
    condition = (
      length(jsondecode(aws_iam_policy.shopease.policy).Statement) == 11 &&
      length(jsondecode(aws_iam_role_policy.crawlers.policy).Statement) == 6
    )
    error_message = "the key adds other statements too"
  }
}

run "the_user_has_the_policy_through_a_group" {
  command = plan

  assert {
    condition     = aws_iam_user.shopease[0].name == "shopease_user"
    error_message = "the user's name is not the one in the contract"
  }

  assert {
    condition     = aws_iam_user.shopease[0].force_destroy
    error_message = "`destroy` could not delete a user with keys"
  }

  assert {
    condition = (
      aws_iam_user_group_membership.shopease[0].user == "shopease_user" &&
      aws_iam_user_group_membership.shopease[0].groups == toset([aws_iam_group.shopease[0].name]) &&
      aws_iam_group_policy_attachment.shopease[0].group == aws_iam_group.shopease[0].name &&
      aws_iam_group_policy_attachment.shopease[0].policy_arn == aws_iam_policy.shopease.arn
    )
    error_message = "the user must be in the group that has the policy"
  }
}

run "no_user_without_create_user" {
  command = plan

  variables {
    create_user = false
  }

  assert {
    condition = (
      length(aws_iam_user.shopease) + length(aws_iam_group.shopease) +
      length(aws_iam_user_group_membership.shopease) + length(aws_iam_group_policy_attachment.shopease) == 0
    )
    error_message = "there must be no user and no group"
  }

  assert {
    condition     = output.user == null && output.policy_arn == aws_iam_policy.shopease.arn && aws_iam_policy.shopease.name == "shopease-cli"
    error_message = "the policy must exist for the customer's own role"
  }
}
