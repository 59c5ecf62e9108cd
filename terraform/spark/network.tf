data "aws_subnet" "first" {
  id = var.subnet_ids[0]
}

# Nothing may connect to the jobs: workers reach each other through EMR Serverless itself.
resource "aws_security_group" "jobs" {
  #checkov:skip=CKV2_AWS_5:it belongs to the EMR Serverless application, which this check does not know
  name                   = local.name
  description            = "The jobs of ${local.name}: to the database, and to AWS."
  vpc_id                 = data.aws_subnet.first.vpc_id
  revoke_rules_on_delete = true
}

# S3, Glue, Athena, KMS and Secrets Manager, through endpoints of the VPC or a NAT gateway. Their addresses change.
resource "aws_vpc_security_group_egress_rule" "aws" {
  security_group_id = aws_security_group.jobs.id
  description       = "S3, Glue, Athena and other services of AWS"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_vpc_security_group_egress_rule" "database_group" {
  for_each                     = toset(local.database_groups)
  security_group_id            = aws_security_group.jobs.id
  description                  = "PostgreSQL"
  ip_protocol                  = "tcp"
  from_port                    = var.database_port
  to_port                      = var.database_port
  referenced_security_group_id = each.value
}

resource "aws_vpc_security_group_egress_rule" "database_addresses" {
  for_each          = toset(var.database_cidr_blocks)
  security_group_id = aws_security_group.jobs.id
  description       = "PostgreSQL"
  ip_protocol       = "tcp"
  from_port         = var.database_port
  to_port           = var.database_port
  cidr_ipv4         = each.value
}

resource "aws_vpc_security_group_ingress_rule" "database" {
  for_each                     = toset(var.open_database ? local.database_groups : [])
  security_group_id            = each.value
  description                  = "PostgreSQL, for the jobs of ${local.name}"
  ip_protocol                  = "tcp"
  from_port                    = var.database_port
  to_port                      = var.database_port
  referenced_security_group_id = aws_security_group.jobs.id
}
