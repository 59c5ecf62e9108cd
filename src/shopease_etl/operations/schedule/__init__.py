"""A daily schedule for cron, systemd or Airflow, and its installation."""

from shopease_etl.operations.schedule.airflow import airflow_schedule
from shopease_etl.operations.schedule.cron import cron_schedule
from shopease_etl.operations.schedule.installation import install
from shopease_etl.operations.schedule.request import Kind, Request, Schedule, ScheduledFile, requested
from shopease_etl.operations.schedule.systemd import systemd_schedule

__all__ = ["Kind", "Request", "Schedule", "ScheduledFile", "install", "requested", "schedule"]


def schedule(kind: Kind, request: Request) -> Schedule:
    """The schedule for this orchestrator; nothing is installed."""
    if kind == "cron":
        return cron_schedule(request)
    return systemd_schedule(request) if kind == "systemd" else airflow_schedule(request)
