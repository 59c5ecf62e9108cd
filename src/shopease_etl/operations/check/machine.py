"""The settings that are given, and this machine: versions, extras, memory, disks."""

import os
import platform
import shutil
import tempfile
from collections.abc import Collection, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import SecretStr

from shopease_etl import __version__, extras
from shopease_etl.dotenv_file import DOTENV, dotenv_variables
from shopease_etl.errors import ConfigurationError, ShopeaseError, UnreachableError
from shopease_etl.lake.store import LakeStore
from shopease_etl.operations.check.lines import CheckLine, failure, warning
from shopease_etl.redaction import HIDDEN, Secrets
from shopease_etl.settings import PREFIX, Settings
from shopease_etl.stages.named_queries import SHIPPED, named_queries
from shopease_etl.transform.memory import USUAL, available_bytes
from shopease_etl.wording import counted


def given_settings(settings: Settings, flags: Collection[str]) -> Iterator[CheckLine]:
    """A line for each setting that a flag, the environment or `.env` gives, and what it overrides; no secrets."""
    secrets = Secrets()
    secrets.learn(settings.database_url.get_secret_value())
    environment = {name.upper() for name in os.environ}
    dotenv = {name.upper() for name in dotenv_variables()}
    are_defaults = True
    for name in type(settings).model_fields:
        variable = PREFIX + name.upper()
        sources = [f"--{name.replace('_', '-')}"] if name in flags else []
        sources += [f"{variable} in the environment"] if variable in environment else []
        sources += [f"{variable} in {DOTENV}"] if variable in dotenv else []
        if sources:
            are_defaults = False
            overrides = f", overrides {' and '.join(sources[1:])}" if sources[1:] else ""
            value = getattr(settings, name)
            values = value if isinstance(value, tuple) else (value,)
            text = "unset" if value is None else ",".join(map(str, values))
            if name == "database_url":
                text = secrets.redacted(settings.database_url.get_secret_value())
            elif any(isinstance(each, SecretStr) for each in values):
                text = HIDDEN  # every part of an address may be a secret: the token of a chat, the id of a ping
            yield CheckLine(f"setting {name}", f"{secrets.redacted(text)} (from {sources[0]}{overrides})")
    if are_defaults:
        yield CheckLine("settings", "using defaults")


def machine(settings: Settings) -> Iterator[CheckLine]:
    """What is installed, the memory that a run may use, and whether SHOPEASE_HOME can be written."""
    libraries = ", ".join(f"{name} {_version(name)}" for name in ("polars", "pyarrow", "psycopg", "boto3", "duckdb"))
    yield CheckLine("versions", f"shopease {__version__}, python {platform.python_version()}, {libraries}")
    needed = {
        "embedded": settings.is_embedded,
        "lineage": bool(settings.lineage),
        "alerts": bool(settings.alerts),
        "clv": settings.clv == "on",
        "spark": settings.engine == "spark",
    }
    yield from (_extra(name, is_needed=needed.get(name, False)) for name in extras.EXTRAS)
    if settings.engine == "spark":
        yield _engine(settings)
    yield _memory(settings.max_memory)
    yield _home(settings.home)
    if settings.queries:
        yield _queries(settings.queries)


def disks(settings: Settings, store: LakeStore, last_bytes: int) -> Iterator[CheckLine]:
    """The free space of each disk that a run writes to; the one for its outputs needs twice the last run's bytes."""
    outputs = store.folder or settings.home
    folders = {"lake" if store.folder else "home": outputs, "home": settings.home}
    folders["temporary"] = Path(tempfile.gettempdir())
    devices: set[int] = set()
    for name, folder in folders.items():
        existing = _existing(folder)
        device = existing.stat().st_dev
        if device not in devices:  # folders on one disk share the line of the first
            yield _disk(f"disk {name}", existing, last_bytes if folder == outputs else 0)
        devices.add(device)


def _disk(name: str, folder: Path, last_bytes: int) -> CheckLine:
    free = shutil.disk_usage(folder).free
    detail = f"{free / 1e9:,.1f} GB free at {folder}"
    if last_bytes:
        detail += f"; the last run wrote {last_bytes / 1e9:,.3f} GB"
    code = ShopeaseError.exit_code if free < last_bytes else 0
    is_low = free < max(1_000_000_000, 2 * last_bytes)
    return CheckLine(name, detail, code, "make room" if is_low else None, is_low and not code)


def _home(folder: Path) -> CheckLine:
    """SHOPEASE_HOME has locks, spooled objects, the local catalog and the state of alerts."""
    try:
        tempfile.TemporaryFile(dir=_existing(folder)).close()
    except OSError as error:
        detail = f"{folder} cannot be written: {error.strerror}"
        return CheckLine("home", detail, UnreachableError.exit_code, "set SHOPEASE_HOME to a writable folder")
    return CheckLine("home", f"{folder} can be written")


def _queries(folder: Path) -> CheckLine:
    """The user's own queries; a warning with the files that are none."""
    try:
        found = named_queries(folder=folder)
    except ConfigurationError as error:
        return failure("queries", error)
    own = [query for query in found.queries.values() if query.source != SHIPPED]
    others = "".join(f"; {file.name} is none: {why}" for file, why in found.refused.items())
    line = f"{counted(len(own), 'query', 'queries')} in {folder}{others}"
    return warning("queries", line, "correct these files, or move them away", is_bad=bool(others))


def _engine(settings: Settings) -> CheckLine:
    """Whether Spark can work on this lake, and start: by Java, unless something else starts it."""
    code = ConfigurationError.exit_code
    if settings.partitions != "month":
        return CheckLine(
            "engine", "spark works on months, and sales are in one file", code, "SHOPEASE_PARTITIONS=month"
        )
    has_java = shutil.which("java") or os.environ.get("JAVA_HOME") or os.environ.get("SPARK_REMOTE")
    if not has_java:
        return CheckLine(
            "engine", "spark needs Java 17 or later, and there is none", code, "install it, or set JAVA_HOME"
        )
    return CheckLine("engine", "spark works on the months that change")


def _existing(folder: Path) -> Path:
    """The folder, or its nearest parent that exists."""
    return next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())


def _extra(name: str, *, is_needed: bool) -> CheckLine:
    """A failure if the extra is missing and a setting needs it; every lake can be queried, which needs `query`."""
    if not extras.missing(name):
        return CheckLine(f"extra {name}", "installed")
    fix = f"pip install 'shopease[{name}]'"
    if is_needed:
        return CheckLine(f"extra {name}", "not installed, but the settings need it", ConfigurationError.exit_code, fix)
    if name == "query":
        return warning(f"extra {name}", "not installed; `shopease query` needs it", fix)
    return CheckLine(f"extra {name}", "not installed; no setting needs it")


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"


def _memory(limit: int | None) -> CheckLine:
    budget, free = limit or USUAL, available_bytes()
    detail = f"{'limit' if limit else 'budget'} {budget / 1e6:,.0f} MB"
    if limit and limit < 300_000_000:
        fix = "raise SHOPEASE_MAX_MEMORY; the program alone needs about 300 MB"
        return warning("memory", detail, fix)
    if free is None:
        return CheckLine("memory", f"{detail}; this system does not say how much is free")
    fix = "lower SHOPEASE_MAX_MEMORY, or use a machine with more memory"
    return warning("memory", f"{detail}, {free / 1e6:,.0f} MB free", fix, is_bad=free < budget)
