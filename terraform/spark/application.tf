resource "aws_emrserverless_application" "spark" {
  name          = local.name
  type          = "SPARK"
  release_label = var.release_label
  architecture  = var.architecture

  dynamic "image_configuration" {
    for_each = local.images
    content {
      image_uri = image_configuration.value
    }
  }

  # A submitted job starts it. There is no initial capacity: workers kept ready would cost money without a job, too.
  auto_start_configuration {
    enabled = true
  }

  auto_stop_configuration {
    enabled              = true
    idle_timeout_minutes = var.idle_minutes
  }

  # The most that all jobs use, and cost, at a time.
  maximum_capacity {
    cpu    = "${var.maximum_vcpu} vCPU"
    memory = "${var.maximum_memory_gb} GB"
    disk   = "${var.maximum_disk_gb} GB"
  }

  network_configuration {
    subnet_ids         = var.subnet_ids
    security_group_ids = [aws_security_group.jobs.id]
  }
}
