"""A PostgreSQL server of our own, started on demand, shared by every process of a home, stopped with the last one."""

from shopease_etl.source.embedded.programs import binaries, find_tool
from shopease_etl.source.embedded.session import running

__all__ = ["binaries", "find_tool", "running"]
