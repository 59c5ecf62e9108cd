"""Around the runs: checks, status, schedules, alerts."""
