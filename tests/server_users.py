"""Users of an embedded server: other processes, and what they see of it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

USER = """
import pathlib, sys
from shopease_etl.source import embedded
with embedded.running(pathlib.Path(sys.argv[1])) as url:
    print(url, flush=True)
    sys.stdin.read()
"""
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


@contextmanager
def a_user(
    home: Path, account: int | None = None, python: str = sys.executable
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process that uses the server until its stdin ends."""
    command = [python, "-c", USER, str(home)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, user=account, cwd="/", env=ENVIRONMENT
    ) as process:
        try:
            assert process.stdout
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def server_pid(home: Path) -> int:
    return int((home / "postgres" / "data" / "postmaster.pid").read_text().split()[0])


def answer(url: str, query: str = "SELECT 42") -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
        return row[0] if row else None
