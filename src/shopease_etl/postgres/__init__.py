"""The source database: connections, one snapshot shared by all of them, and tables as streams of CSV bytes."""

from shopease_etl.postgres.connections import NO_LIMITS, Limits, connect, parameters
from shopease_etl.postgres.snapshots import CopyOut, Snapshot, SourceTable, snapshot

__all__ = ["NO_LIMITS", "CopyOut", "Limits", "Snapshot", "SourceTable", "connect", "parameters", "snapshot"]
