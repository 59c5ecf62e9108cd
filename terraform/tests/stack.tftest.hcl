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

# AWS sets it during apply; with this value the plan shows what refers to it.
override_resource {
  target          = aws_sns_topic.alerts
  override_during = plan
  values          = { arn = "arn:aws:sns:us-east-1:123456789012:the-topic" }
}

run "queries_are_limited_and_encrypted" {
  command = plan

  assert {
    condition = (
      aws_athena_workgroup.analytics.name == "shopease-analytics" &&
      aws_athena_workgroup.analytics.configuration[0].enforce_workgroup_configuration &&
      aws_athena_workgroup.analytics.configuration[0].publish_cloudwatch_metrics_enabled &&
      aws_athena_workgroup.analytics.configuration[0].bytes_scanned_cutoff_per_query == 10737418240 &&
      aws_athena_workgroup.analytics.configuration[0].engine_version[0].selected_engine_version == "Athena engine version 3"
    )
    error_message = "the workgroup's settings are wrong, or clients can override them"
  }

  assert {
    condition = (
      aws_athena_workgroup.analytics.configuration[0].result_configuration[0].output_location == "s3://shopease-stg/athena-results/" &&
      aws_athena_workgroup.analytics.configuration[0].result_configuration[0].expected_bucket_owner == "123456789012" &&
      aws_athena_workgroup.analytics.configuration[0].result_configuration[0].encryption_configuration[0].encryption_option == "SSE_S3"
    )
    error_message = "results go elsewhere, or are not encrypted"
  }

  assert {
    condition     = aws_athena_workgroup.analytics.force_destroy
    error_message = "a workgroup with past queries could not be destroyed"
  }
}

run "failures_and_costs_send_alerts" {
  command = plan

  variables {
    alert_email        = "data@shopease.example"
    athena_alarm_bytes = 5000000000
  }

  assert {
    condition = jsonencode(jsondecode(aws_sns_topic_policy.alerts.policy).Statement) == jsonencode([{
      Sid       = "PublishFromThisAccount"
      Effect    = "Allow"
      Action    = "sns:Publish"
      Principal = { Service = ["events.amazonaws.com", "cloudwatch.amazonaws.com"] }
      Resource  = "arn:aws:sns:us-east-1:123456789012:shopease-alerts"
      Condition = { StringEquals = { "aws:SourceAccount" = "123456789012" } }
    }])
    error_message = "only this account's rules and alarms must be allowed to publish"
  }

  assert {
    condition     = aws_sns_topic.alerts.name == "shopease-alerts" && aws_sns_topic.alerts.kms_master_key_id == null
    error_message = "with AWS's own key for SNS nothing would be published"
  }

  assert {
    condition = jsonencode(jsondecode(aws_cloudwatch_event_rule.crawler_failed.event_pattern)) == jsonencode({
      source        = ["aws.glue"]
      "detail-type" = ["Glue Crawler State Change"]
      detail = {
        state       = ["Failed"]
        crawlerName = ["shopease-bronze-crawler", "shopease-gold-crawler", "shopease-silver-crawler"]
      }
    })
    error_message = "the rule matches other events"
  }

  assert {
    condition = (
      aws_cloudwatch_event_target.crawler_failed.rule == aws_cloudwatch_event_rule.crawler_failed.name &&
      aws_cloudwatch_event_target.crawler_failed.arn == aws_sns_topic.alerts.arn &&
      aws_sns_topic_policy.alerts.arn == aws_sns_topic.alerts.arn &&
      tolist(aws_cloudwatch_metric_alarm.bytes_scanned.alarm_actions) == tolist([aws_sns_topic.alerts.arn])
    )
    error_message = "events or alarms do not go to the topic"
  }

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.bytes_scanned.threshold == 5000000000 &&
      aws_cloudwatch_metric_alarm.bytes_scanned.namespace == "AWS/Athena" &&
      aws_cloudwatch_metric_alarm.bytes_scanned.metric_name == "ProcessedBytes" &&
      aws_cloudwatch_metric_alarm.bytes_scanned.dimensions["WorkGroup"] == "shopease-analytics" &&
      aws_cloudwatch_metric_alarm.bytes_scanned.statistic == "Sum" &&
      aws_cloudwatch_metric_alarm.bytes_scanned.period == 86400 &&
      aws_cloudwatch_metric_alarm.bytes_scanned.comparison_operator == "GreaterThanThreshold"
    )
    error_message = "the alarm watches something else"
  }

  assert {
    condition = (
      aws_sns_topic_subscription.email[0].topic_arn == aws_sns_topic.alerts.arn &&
      aws_sns_topic_subscription.email[0].endpoint == "data@shopease.example" &&
      aws_sns_topic_subscription.email[0].protocol == "email"
    )
    error_message = "the address gets no alerts"
  }
}

run "a_prefix_moves_everything" {
  command = plan

  variables {
    bucket_name = "company-lake"
    prefix      = "teams/sales"
  }

  assert {
    condition = (
      aws_glue_catalog_table.raw["silver_transactions"].storage_descriptor[0].location == "s3://company-lake/teams/sales/silver/transactions/" &&
      alltrue([for table in aws_glue_catalog_table.raw : startswith(table.storage_descriptor[0].location, "s3://company-lake/teams/sales/")])
    )
    error_message = "a table is outside the prefix"
  }

  assert {
    condition     = aws_athena_workgroup.analytics.configuration[0].result_configuration[0].output_location == "s3://company-lake/teams/sales/athena-results/"
    error_message = "results go outside the prefix"
  }

  assert {
    condition = output.environment == join("\n", [
      "SHOPEASE_LAKE=s3://company-lake/teams/sales",
      "SHOPEASE_GLUE_DATABASE=shopease_catalog",
      "SHOPEASE_ATHENA_WORKGROUP=shopease-analytics",
      "SHOPEASE_CRAWLERS=shopease-bronze-crawler,shopease-silver-crawler,shopease-gold-crawler",
      "",
    ])
    error_message = "the settings for shopease are wrong"
  }
}

run "a_key_encrypts_everything" {
  command = plan

  variables {
    kms_key_arn      = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    crawler_schedule = "cron(15 2 * * ? *)"
  }

  assert {
    condition = (
      aws_athena_workgroup.analytics.configuration[0].result_configuration[0].encryption_configuration[0].encryption_option == "SSE_KMS" &&
      aws_athena_workgroup.analytics.configuration[0].result_configuration[0].encryption_configuration[0].kms_key_arn == var.kms_key_arn &&
      aws_sns_topic.alerts.kms_master_key_id == var.kms_key_arn
    )
    error_message = "results or alerts are encrypted with another key"
  }

  assert {
    condition = (
      aws_glue_security_configuration.crawlers[0].encryption_configuration[0].cloudwatch_encryption[0].cloudwatch_encryption_mode == "SSE-KMS" &&
      aws_glue_security_configuration.crawlers[0].encryption_configuration[0].cloudwatch_encryption[0].kms_key_arn == var.kms_key_arn &&
      alltrue([for crawler in aws_glue_crawler.layer : crawler.security_configuration == "shopease-crawlers"])
    )
    error_message = "the crawlers' logs are encrypted with another key"
  }

  assert {
    condition     = alltrue([for crawler in aws_glue_crawler.layer : crawler.schedule == "cron(15 2 * * ? *)"])
    error_message = "the crawlers do not use the schedule"
  }

  assert {
    condition     = endswith(output.environment, "SHOPEASE_S3_ENCRYPTION=aws:kms\nSHOPEASE_S3_KMS_KEY=${var.kms_key_arn}\n")
    error_message = "shopease would write with another encryption"
  }
}

run "custom_names_are_used_everywhere" {
  command = plan

  variables {
    aws_region     = "eu-central-1"
    project        = "shop-two"
    database_name  = "second"
    workgroup_name = "two"
    role_name      = "TwoRole"
    user_name      = "two_user"
    crawler_names  = { silver = "two-silver" }
  }

  assert {
    condition = alltrue([
      for arn in [
        "arn:aws:glue:eu-central-1:123456789012:table/second/*",
        "arn:aws:glue:eu-central-1:123456789012:crawler/two-silver",
        "arn:aws:glue:eu-central-1:123456789012:crawler/shopease-bronze-crawler",
        "arn:aws:athena:eu-central-1:123456789012:workgroup/two",
      ] : strcontains(aws_iam_policy.shopease.policy, "\"${arn}\"")
    ])
    error_message = "shopease has no rights on resources with custom names"
  }

  assert {
    condition = (
      strcontains(aws_iam_role_policy.crawlers.policy, "database/second\"") &&
      aws_iam_role_policy.crawlers.role == "TwoRole" &&
      strcontains(aws_sns_topic_policy.alerts.policy, "arn:aws:sns:eu-central-1:123456789012:shop-two-alerts") &&
      aws_sns_topic.alerts.name == "shop-two-alerts" &&
      contains(jsondecode(aws_cloudwatch_event_rule.crawler_failed.event_pattern).detail.crawlerName, "two-silver")
    )
    error_message = "the role or the alerts use the default names"
  }

  assert {
    condition     = output.database == "second" && output.workgroup == "two" && output.user == "two_user" && output.crawlers["silver"] == "two-silver"
    error_message = "the outputs have other names"
  }
}
