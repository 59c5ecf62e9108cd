"""The real command line as a process of its own, with a folder and an environment of its own."""

import hashlib
import json
import os
import pty
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self
from uuid import uuid4

import psycopg
from psycopg.conninfo import conninfo_to_dict

from shopease_etl.contract.layout import GENERATIONS, LAYERS, RUNS
from shopease_etl.sample import write_sample
from shopease_etl.stages.restore import restore
from warm_start import WarmProcess, may_start_warm

SHOPEASE = str(Path(sys.executable).with_name("shopease"))
SCALE = 0.01
PROMISED = "shopease: error: "
FIRST_DAY: Final = ("query", "SELECT min(sales_date) AS day FROM shopease_catalog.daily_sales_summary", "--json")
CONTRACT_TABLES: Final = (
    "CREATE TABLE customers (customer_id int, customer_name text, email text, phone text, address text, city text, "
    "state text, zip_code text, created_at timestamp, updated_at timestamp)",
    "CREATE TABLE products (product_id int, product_name text, category text, price numeric(10,2), description text, "
    "created_at timestamp, updated_at timestamp)",
    "CREATE TABLE stores (store_id int, store_name text, city text, state text, created_at timestamp, "
    "updated_at timestamp)",
    "CREATE TABLE inventory (inventory_id int, store_id int, product_id int, quantity int, reorder_level int, "
    "created_at timestamp, updated_at timestamp)",
    "CREATE TABLE sales_managers (manager_id int, manager_name text, email text, phone text, store_id int, "
    "created_at timestamp, updated_at timestamp)",
    "CREATE TABLE sale_transactions (transaction_id int, store_id int, customer_id int, product_id int, quantity int, "
    "unit_price numeric(10,2), payment_method text, sales_channel text, created_at timestamp, updated_at timestamp)",
)


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """What `--json` put on the last line of stdout."""
        return json.loads(self.stdout.splitlines()[-1])

    def done(self) -> Self:
        """It ended well."""
        assert self.code == 0, self
        assert PROMISED not in self.stderr
        return self

    def failed(self, code: int, *words: str) -> Self:
        """It ended with this code and one line that holds the words; after it come at most details and a hint."""
        lines = self.stderr.splitlines()
        told = [number for number, line in enumerate(lines) if line.startswith(PROMISED)]
        assert (self.code, len(told)) == (code, 1), self
        rest = lines[told[0] + 1 :]
        assert all(line.startswith("  ") for line in rest), self
        assert ["  hint: " in line for line in rest[:-1]] == [False] * len(rest[:-1]), self
        assert [word for word in words if word not in lines[told[0]]] == [], self
        assert "Traceback" not in self.stderr
        return self


@dataclass(frozen=True)
class Shop:
    """One user of the command line: a working folder, and settings that nothing else reaches."""

    folder: Path
    database_url: str = "embedded"
    lake: str = "lake"
    more: Mapping[str, str] = field(default_factory=dict)
    wrapper: tuple[str, ...] = ()
    starts_cold: bool = False  # in a new interpreter, which imports what it needs

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment of the user's commands; of ours only AWS's variables, which tests set."""
        ours = {name: value for name, value in os.environ.items() if name.startswith("AWS_") or name == "PATH"}
        settings = {"DATABASE_URL": self.database_url, "LAKE": self.lake, "HOME": str(self.folder / "home")}
        named = {f"SHOPEASE_{name}": value for name, value in settings.items()}
        return {**ours, "HOME": str(self.folder), "LANG": "C.UTF-8", **named, **self.more}

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """A command under way."""
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        settings: dict[str, Any] = {"cwd": self.folder, "env": self.environment, "text": True, **streams, **options}
        command = [*self.wrapper, SHOPEASE, *arguments]
        if not (self.wrapper or self.starts_cold) and may_start_warm(settings["env"]):
            return WarmProcess(command, **settings)
        return subprocess.Popen(command, **settings)

    def run(self, *arguments: str, stdin: str = "", **options: Any) -> Ended:
        """A command from its start to its end."""
        with self.start(*arguments, **options) as process:
            return end(process, stdin)


def end(process: subprocess.Popen[str], stdin: str = "", seconds: float = 60) -> Ended:
    """Wait until a command has ended, and no longer than this."""
    try:
        stdout, stderr = process.communicate(stdin, timeout=seconds)
    finally:
        process.kill()
    return Ended(process.returncode, stdout, stderr)


def on_a_terminal(shop: Shop, *arguments: str, columns: int = 100, lines: int = 1000) -> Ended:
    """A command whose three streams are one terminal; what it wrote there is `stdout`."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (lines, columns))
    written = bytearray()
    with replace(shop, starts_cold=True).start(*arguments, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        with suppress(OSError):  # Linux's way to tell that the other side is closed
            while data := os.read(ours, 65_536):
                written += data
        process.wait(60)
    os.close(ours)
    return Ended(process.returncode, written.decode().replace("\r\n", "\n"), "")


def execute(url: str, *statements: str) -> None:
    """Change a source database."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def drop(server: str, name: str, tries: int = 20) -> None:
    """Drop a database; an autovacuum worker in it, which this user may not end, is waited for."""
    try:
        execute(server, f"DROP DATABASE {name} WITH (FORCE)")
    except psycopg.errors.InsufficientPrivilege:
        if not tries:
            raise
        time.sleep(0.5)
        drop(server, name, tries - 1)


@contextmanager
def database(server: str, template: str = "template1") -> Iterator[str]:
    """The URL of a database of its own, a copy of the template."""
    name = f"shop_{uuid4().hex}"
    execute(server, f'CREATE DATABASE {name} TEMPLATE "{template}"')
    try:
        yield server.replace("/sales_db?", f"/{name}?")
    finally:
        drop(server, name)


@contextmanager
def sample_database(server: str, folder: Path) -> Iterator[str]:
    """The URL of a database with a small, dirty sample of sales."""
    dump = folder / "sample.sql"
    write_sample(dump, scale=SCALE)
    with database(server) as url:
        restore(str(dump), url)
        yield url


@contextmanager
def copy_of(url: str) -> Iterator[str]:
    """The URL of a copy of a database that nobody is connected to."""
    name = conninfo_to_dict(url)["dbname"]
    with database(url.replace(f"/{name}?", "/sales_db?"), str(name)) as copy:
        yield copy


def count(url: str, rows: str) -> int:
    """How many rows there are of a table, with or without a condition."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(f"SELECT count(*) FROM {rows}".encode()).fetchone()
        assert row
        return int(row[0])


def hashes(lake: Path) -> dict[str, str]:
    """The lake's datasets by key with the hash of their bytes; neither manifests nor kept former lakes are datasets,
    leftovers are.
    """
    files = (path for path in sorted(lake.rglob("*")) if path.is_file() and GENERATIONS not in path.parts)
    named = ((path.relative_to(lake).as_posix(), path) for path in files)
    return {key: hashlib.sha256(path.read_bytes()).hexdigest() for key, path in named if not is_manifest(key)}


def leftovers(lake: Path) -> list[str]:
    """What is neither a dataset nor a manifest."""
    top = {path.name for path in lake.iterdir()} - {*LAYERS, RUNS, GENERATIONS}
    return sorted(top) + [path.name for path in (lake / "_runs").iterdir() if path.suffix != ".json"]


def is_manifest(key: str) -> bool:
    """Whether a key of the lake is that of a run's manifest."""
    return key.startswith("_runs/") and key.endswith(".json")
