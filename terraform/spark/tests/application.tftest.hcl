# The real provider without AWS: a plan of new resources needs no AWS.
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

# AWS sets these during apply; with them the plan shows what refers to them.
override_resource {
  target          = aws_emrserverless_application.spark
  override_during = plan
  values          = { arn = "arn:aws:emr-serverless:us-east-1:123456789012:/applications/00f1r2s3t4", id = "00f1r2s3t4" }
}

override_resource {
  target          = aws_security_group.jobs
  override_during = plan
  values          = { id = "sg-00000000000000001" }
}

override_resource {
  target          = aws_iam_role.job
  override_during = plan
  values          = { arn = "arn:aws:iam::123456789012:role/the-role" }
}

override_resource {
  target          = aws_iam_policy.submit
  override_during = plan
  values          = { arn = "arn:aws:iam::123456789012:policy/the-policy" }
}

variables {
  subnet_ids                 = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
  database_security_group_id = "sg-0123456789abcdef0"
}

run "the_application_costs_nothing_without_a_job" {
  command = plan

  assert {
    condition     = length(aws_emrserverless_application.spark.initial_capacity) == 0
    error_message = "workers kept ready cost money without a job"
  }

  assert {
    condition = (
      aws_emrserverless_application.spark.auto_start_configuration[0].enabled &&
      aws_emrserverless_application.spark.auto_stop_configuration[0].enabled &&
      aws_emrserverless_application.spark.auto_stop_configuration[0].idle_timeout_minutes == 15
    )
    error_message = "a job would not start the application, or it would not stop without jobs"
  }

  assert {
    condition = jsonencode(aws_emrserverless_application.spark.maximum_capacity) == jsonencode([
      { cpu = "16 vCPU", disk = "200 GB", memory = "64 GB" }
    ])
    error_message = "the capacity has another limit"
  }
}

run "it_is_spark_4_in_the_subnets_of_the_variables" {
  command = plan

  assert {
    condition = (
      aws_emrserverless_application.spark.name == "shopease-spark" &&
      aws_emrserverless_application.spark.type == "SPARK" &&
      aws_emrserverless_application.spark.release_label == "emr-spark-8.0.0" &&
      aws_emrserverless_application.spark.architecture == "X86_64" &&
      length(aws_emrserverless_application.spark.image_configuration) == 0
    )
    error_message = "the application is another"
  }

  assert {
    condition = (
      aws_emrserverless_application.spark.network_configuration[0].subnet_ids == toset(var.subnet_ids) &&
      aws_emrserverless_application.spark.network_configuration[0].security_group_ids == toset(["sg-00000000000000001"]) &&
      aws_security_group.jobs.vpc_id == "vpc-0123456789abcdef0"
    )
    error_message = "the jobs run in other subnets, or with other security groups"
  }
}

run "jobs_reach_the_database_and_aws_only" {
  command = plan

  assert {
    condition = (
      aws_vpc_security_group_egress_rule.aws.from_port == 443 &&
      aws_vpc_security_group_egress_rule.aws.to_port == 443 &&
      aws_vpc_security_group_egress_rule.aws.ip_protocol == "tcp" &&
      aws_vpc_security_group_egress_rule.aws.security_group_id == "sg-00000000000000001"
    )
    error_message = "the jobs cannot reach AWS over HTTPS, or more than that"
  }

  assert {
    condition = jsonencode([
      for rule in aws_vpc_security_group_egress_rule.database_group :
      [rule.security_group_id, rule.ip_protocol, rule.from_port, rule.to_port, rule.referenced_security_group_id]
    ]) == jsonencode([["sg-00000000000000001", "tcp", 5432, 5432, "sg-0123456789abcdef0"]])
    error_message = "the jobs cannot reach the database, or more of it than its port"
  }

  assert {
    condition = jsonencode([
      for rule in aws_vpc_security_group_ingress_rule.database :
      [rule.security_group_id, rule.ip_protocol, rule.from_port, rule.to_port, rule.referenced_security_group_id]
    ]) == jsonencode([["sg-0123456789abcdef0", "tcp", 5432, 5432, "sg-00000000000000001"]])
    error_message = "the database's group does not let the jobs in, or others too"
  }

  assert {
    condition     = length(aws_vpc_security_group_egress_rule.database_addresses) == 0
    error_message = "there is a rule for addresses without any"
  }
}

run "the_databases_owner_can_keep_the_group_closed" {
  command = plan

  variables {
    open_database = false
    database_port = 6432
  }

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.database) == 0
    error_message = "the database's group is changed"
  }

  assert {
    condition     = [for rule in aws_vpc_security_group_egress_rule.database_group : [rule.from_port, rule.to_port]] == [[6432, 6432]]
    error_message = "the port is another"
  }

  assert {
    condition     = output.security_group_id == "sg-00000000000000001"
    error_message = "the owner must know which group to let in"
  }
}

run "a_database_outside_has_addresses" {
  command = plan

  variables {
    database_security_group_id = null
    database_cidr_blocks       = ["10.1.0.5/32", "10.2.0.0/24"]
  }

  assert {
    condition = jsonencode([
      for block, rule in aws_vpc_security_group_egress_rule.database_addresses :
      [block, rule.cidr_ipv4, rule.ip_protocol, rule.from_port, rule.to_port, rule.security_group_id]
      ]) == jsonencode([
      for block in var.database_cidr_blocks : [block, block, "tcp", 5432, 5432, "sg-00000000000000001"]
    ])
    error_message = "the jobs cannot reach the addresses of the database"
  }

  assert {
    condition     = length(aws_vpc_security_group_egress_rule.database_group) + length(aws_vpc_security_group_ingress_rule.database) == 0
    error_message = "there are rules for a group without one"
  }
}

run "custom_values_are_used_everywhere" {
  command = plan

  variables {
    project             = "shop-two"
    prefix              = "eu"
    release_label       = "emr-spark-8.1.0"
    architecture        = "ARM64"
    image_uri           = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/spark:1"
    idle_minutes        = 5
    maximum_vcpu        = 64
    maximum_memory_gb   = 256
    maximum_disk_gb     = 1000
    database_secret_arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:shop-AbCd12"
    archive_name        = "shopease-spark-9.9.9.tar.gz"
  }

  assert {
    condition = (
      aws_emrserverless_application.spark.name == "shop-two-spark" &&
      aws_emrserverless_application.spark.release_label == "emr-spark-8.1.0" &&
      aws_emrserverless_application.spark.architecture == "ARM64" &&
      aws_emrserverless_application.spark.image_configuration[0].image_uri == var.image_uri &&
      aws_emrserverless_application.spark.auto_stop_configuration[0].idle_timeout_minutes == 5 &&
      jsonencode(aws_emrserverless_application.spark.maximum_capacity) == jsonencode([{ cpu = "64 vCPU", disk = "1000 GB", memory = "256 GB" }])
    )
    error_message = "the application does not use the variables"
  }

  assert {
    condition = output.environment == join("", [
      "SHOPEASE_EMR_APPLICATION=00f1r2s3t4\n",
      "SHOPEASE_EMR_ROLE=arn:aws:iam::123456789012:role/the-role\n",
      "SHOPEASE_SPARK_ARCHIVE=s3://shopease-stg/eu/_spark/shopease-spark-9.9.9.tar.gz\n",
      "SHOPEASE_DATABASE_SECRET=${var.database_secret_arn}\n",
    ])
    error_message = "the settings are wrong"
  }
}

run "the_outputs_say_what_is_next" {
  command = plan

  assert {
    condition = (
      output.application_id == "00f1r2s3t4" &&
      output.role_arn == "arn:aws:iam::123456789012:role/the-role" &&
      output.submit_policy_arn == "arn:aws:iam::123456789012:policy/the-policy" &&
      output.spark_folder == "s3://shopease-stg/_spark/"
    )
    error_message = "an output is wrong"
  }

  assert {
    condition     = !strcontains(output.environment, "SHOPEASE_DATABASE_SECRET")
    error_message = "a setting names a secret that there is not"
  }
}
