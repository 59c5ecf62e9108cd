"""The source databases: the sample at a scale, restored once and kept on the benchmark's own embedded server."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from shopease_etl.contract.tables import TABLES
from shopease_etl.source import embedded

SHOPEASE = Path(sys.executable).with_name("shopease")


@dataclass(frozen=True)
class Source:
    """A database that is measured: where, how large, and with which program it is read in the plain way."""

    url: str
    scale: float
    rows: int
    version: str
    psql: Path
    postmaster: int

    def server_cpu(self) -> float:
        """The CPU seconds of the server so far, with those of its sessions that have ended."""
        ticks = Path(f"/proc/{self.postmaster}/stat").read_text().rpartition(")")[2].split()[11:15]
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")

    @property
    def copy_statements(self) -> tuple[str, ...]:
        """The statements that give all of bronze."""
        return tuple(f"COPY public.{table.source} TO STDOUT (FORMAT csv, HEADER)" for table in TABLES)


@contextmanager
def source(home: Path, scale: float, *, forget: bool = False) -> Iterator[Source]:
    """The sample at a scale, made when it is not there yet; one that was made now is dropped again with `forget`."""
    name = f"scale_{scale:g}".replace(".", "_")
    with embedded.running(home) as default:
        with embedded.running(home, name) as url:
            made = _ensure(url, scale, home)
            with psycopg.connect(url, autocommit=True) as connection:
                rows = sum(_count(connection, table.source) for table in TABLES)
                version = str(connection.info.parameter_status("server_version"))
            postmaster = int((home / "postgres" / "data" / "postmaster.pid").read_text().split()[0])
            yield Source(url, scale, rows, version, embedded.find_tool("psql"), postmaster)
        if forget and made:
            with psycopg.connect(default, autocommit=True) as connection:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def _ensure(url: str, scale: float, home: Path) -> bool:
    """Make the sample unless it is there whole, which the database's comment tells; True where it was made."""
    with psycopg.connect(url, autocommit=True) as connection:
        if _comment(connection) == "whole":
            return False
        _fill(url, scale, home)
        # so that no round has to write hint bits
        connection.execute("VACUUM (FREEZE, ANALYZE)")
        connection.execute(f"COMMENT ON DATABASE {connection.info.dbname} IS 'whole'".encode())
    return True


def _comment(connection: psycopg.Connection) -> str | None:
    found = connection.execute(
        "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
    ).fetchone()
    return found[0] if found else None


def _count(connection: psycopg.Connection, table: str) -> int:
    found = connection.execute(f"SELECT count(*) FROM public.{table}".encode()).fetchone()  # noqa: S608 - a name of ours
    return int(found[0]) if found else 0


def _fill(url: str, scale: float, home: Path) -> None:
    dump = home / "sample.sql"
    environment = {**os.environ, "SHOPEASE_HOME": str(home), "SHOPEASE_DATABASE_URL": url}
    for command in (("sample", str(dump), "--scale", f"{scale:g}"), ("restore", str(dump), "--clean")):
        subprocess.run([SHOPEASE, "--quiet", *command], check=True, env=environment, stdout=subprocess.DEVNULL)
    dump.unlink()
