"""The source database: connections, one snapshot shared by all of them, and tables as streams of CSV bytes."""

from shopease_etl.source.postgres.changes import MonthRows, MonthTable
from shopease_etl.source.postgres.connections import parameters
from shopease_etl.source.postgres.copying import Chunk, CopyOut
from shopease_etl.source.postgres.marks import why_not_comparable
from shopease_etl.source.postgres.snapshots import JoinedSnapshot, Snapshot, snapshot
from shopease_etl.source.postgres.source_tables import Blocks, SourceTable
from shopease_etl.source.postgres.transactions import NO_LIMITS, Limits, connect

__all__ = [
    "NO_LIMITS",
    "Blocks",
    "Chunk",
    "CopyOut",
    "JoinedSnapshot",
    "Limits",
    "MonthRows",
    "MonthTable",
    "Snapshot",
    "SourceTable",
    "connect",
    "parameters",
    "snapshot",
    "why_not_comparable",
]
