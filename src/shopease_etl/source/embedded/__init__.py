"""A private PostgreSQL server per home: started on demand, shared by all commands, stopped after the last one."""

from shopease_etl.source.embedded.programs import binaries, find_tool
from shopease_etl.source.embedded.session import running

__all__ = ["binaries", "find_tool", "running"]
