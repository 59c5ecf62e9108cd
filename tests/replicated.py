"""A PostgreSQL whose superuser the tests are, and a hot standby of it."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg

from commands import CONTRACT_TABLES, execute
from conftest import eventually, temporary_home
from shopease_etl.source.embedded.folders import Account, runnable_binaries

_PRIMARY: Final = {"wal_level": "replica", "max_wal_senders": "4", "hot_standby": "on", "fsync": "off"}


@dataclass(frozen=True)
class Cluster:
    """Where servers and their programs are: sockets in the home, and an account that PostgreSQL runs as."""

    home: Path
    programs: Path
    account: Account

    @property
    def _as_account(self) -> dict[str, Any]:
        return {"user": self.account.user, "group": self.account.group, "extra_groups": self.account.groups}

    def done(self, program: str, *arguments: object) -> None:
        """A program to its end."""
        command = [str(self.programs / program), *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=True, cwd="/", timeout=60, **self._as_account)

    @contextmanager
    def server(self, folder: Path, **settings: str) -> Iterator[str]:
        """The URL of a server in the folder, as its superuser."""
        # apart from the data, of which a standby is a copy
        socket = self.account.make_folder(self.home, "socket-")
        own = {"listen_addresses": "", "port": "5432", "unix_socket_directories": str(socket), **_PRIMARY, **settings}
        options = [part for name, value in own.items() for part in ("-c", f"{name}={value}")]
        command = [str(self.programs / "postgres"), "-D", str(folder), *options]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd="/", **self._as_account) as process:
            url = f"postgresql://owner@/postgres?host={socket}&port={own['port']}"
            try:
                eventually(lambda: _answers(url))
                yield url
            finally:
                process.send_signal(signal.SIGINT)
                process.wait(20)


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A place for servers, which are gone with it."""
    with temporary_home() as home:
        home.mkdir()
        home.chmod(0o755)
        account = Account.ours()
        yield Cluster(home, runnable_binaries(home, account), account)


@contextmanager
def primary(place: Cluster) -> Iterator[str]:
    """The URL of a server with the contract's tables, and a user `reader` who may read nothing."""
    folder = place.account.make_folder(place.home, "primary-")
    place.done("initdb", "-D", folder, "-U", "owner", "--auth=trust", "-N")
    with place.server(folder) as url:
        execute(url, *CONTRACT_TABLES, "CREATE ROLE reader LOGIN")
        yield url


@contextmanager
def standby(place: Cluster, of: str, **settings: str) -> Iterator[str]:
    """The URL of a hot standby, once it streams."""
    folder = place.account.make_folder(place.home, "standby-")
    place.done("pg_basebackup", "-d", of, "-D", folder, "-R", "-c", "fast", "--no-sync")
    with place.server(folder, **settings) as url:
        eventually(lambda: _value(url, "SELECT count(*) FROM pg_stat_wal_receiver"))
        yield url


def _answers(url: str) -> bool:
    try:
        return bool(_value(url, "SELECT true"))
    except psycopg.OperationalError:
        return False


def _value(url: str, query: str) -> Any:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
        return row and row[0]
