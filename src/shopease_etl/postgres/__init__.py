"""The source database: connections, one snapshot shared by all of them, and tables as streams of CSV bytes."""

from shopease_etl.postgres.connections import NO_LIMITS, Limits, connect, parameters
from shopease_etl.postgres.copying import CopyOut
from shopease_etl.postgres.snapshots import Snapshot, snapshot
from shopease_etl.postgres.source_tables import Blocks, SourceTable

__all__ = ["NO_LIMITS", "Blocks", "CopyOut", "Limits", "Snapshot", "SourceTable", "connect", "parameters", "snapshot"]
