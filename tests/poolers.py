"""A real pgbouncer before a PostgreSQL server, in a process of its own."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from conftest import eventually

PGBOUNCER: Final = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
needs_pgbouncer = pytest.mark.skipif(PGBOUNCER is None, reason="install pgbouncer: apt-get install pgbouncer")


@contextmanager
def pooler(url: str, mode: str, size: int, **settings: str) -> Iterator[str]:
    """The URL of a pooler before the server of a URL, which listens on a Unix socket and trusts its users."""
    server = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    with tempfile.TemporaryDirectory(prefix="shopease-pool-", dir="/tmp") as name, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
        probe.close()
        folder = Path(name)
        folder.chmod(0o755)
        own: dict[str, Any] = {
            "listen_addr": "127.0.0.1",
            "listen_port": port,
            "unix_socket_dir": "",
            "auth_type": "any",
            "pool_mode": mode,
            "default_pool_size": size,
            "query_wait_timeout": 2,
            **settings,
        }
        database = f"* = host={server['host']} port={server.get('port', '5432')} user={server['user']}"
        lines = ["[databases]", database, "[pgbouncer]", *(f"{key} = {value}" for key, value in own.items())]
        (folder / "pgbouncer.ini").write_text("\n".join(lines) + "\n")
        # it refuses to run as root
        as_other: dict[str, Any] = (
            {"user": "nobody", "group": "nogroup", "extra_groups": []} if not os.geteuid() else {}
        )
        command = [str(PGBOUNCER), str(folder / "pgbouncer.ini")]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **as_other) as process:
            try:
                pooled = f"postgresql://{server['user']}@127.0.0.1:{port}/{server['dbname']}?sslmode=disable"
                eventually(lambda: _listens(int(port)) or process.poll() is not None)
                assert process.poll() is None
                yield pooled
            finally:
                process.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def value(connection: psycopg.Connection, query: str) -> Any:
    """The only value that a query gives."""
    return connection.execute(query.encode()).fetchall()[0][0]
