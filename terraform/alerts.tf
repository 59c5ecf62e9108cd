resource "aws_sns_topic" "alerts" {
  name = "${var.project}-alerts"
  # Never alias/aws/sns: EventBridge and CloudWatch cannot use that key, so they would publish nothing.
  kms_master_key_id = var.kms_key_arn
}

data "aws_iam_policy_document" "alerts" {
  statement {
    sid       = "PublishFromThisAccount"
    actions   = ["sns:Publish"]
    resources = [local.topic_arn]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com", "events.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account_id]
    }
  }
}

resource "aws_sns_topic_policy" "alerts" {
  arn    = aws_sns_topic.alerts.arn
  policy = data.aws_iam_policy_document.alerts.json
}

resource "aws_sns_topic_subscription" "email" {
  count     = var.alert_email == null ? 0 : 1
  topic_arn = aws_sns_topic.alerts.arn
  protocol  = "email"
  endpoint  = var.alert_email
}

# Crawlers have no metric for failures; this event is the only sign of one.
resource "aws_cloudwatch_event_rule" "crawler_failed" {
  name        = "${var.project}-crawler-failed"
  description = "A crawler of ${var.database_name} failed."

  event_pattern = jsonencode({
    source        = ["aws.glue"]
    "detail-type" = ["Glue Crawler State Change"]
    detail        = { state = ["Failed"], crawlerName = values(var.crawler_names) }
  })
}

resource "aws_cloudwatch_event_target" "crawler_failed" {
  rule = aws_cloudwatch_event_rule.crawler_failed.name
  arn  = aws_sns_topic.alerts.arn
}

resource "aws_cloudwatch_metric_alarm" "bytes_scanned" {
  alarm_name          = "${var.project}-athena-bytes-scanned"
  alarm_description   = "All queries of a day in ${var.workgroup_name} scanned more than ${var.athena_alarm_bytes} bytes."
  namespace           = "AWS/Athena"
  metric_name         = "ProcessedBytes"
  dimensions          = { WorkGroup = aws_athena_workgroup.analytics.name }
  statistic           = "Sum"
  period              = 86400
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.athena_alarm_bytes
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alerts.arn]
}
