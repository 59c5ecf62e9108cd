"""This machine: versions, extras, memory, disks."""

import platform
import shutil
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from shopease_etl import __version__, extras
from shopease_etl.errors import ConfigurationError, ShopeaseError, UnreachableError
from shopease_etl.lake.store import LakeStore
from shopease_etl.operations.check.lines import warned
from shopease_etl.report import CheckLine
from shopease_etl.settings import Settings
from shopease_etl.transform.memory import USUAL, available_bytes

LOW_DISK_BYTES: Final = 1_000_000_000
LEAST_MEMORY: Final = 300_000_000
_LIBRARIES: Final = ("polars", "pyarrow", "psycopg", "boto3", "duckdb")


def machine(settings: Settings) -> Iterator[CheckLine]:
    """What is installed, and the memory that a run may take."""
    libraries = ", ".join(f"{name} {_version(name)}" for name in _LIBRARIES)
    yield CheckLine("versions", f"shopease {__version__}, python {platform.python_version()}, {libraries}")
    needed = {
        "embedded": settings.is_embedded,
        "lineage": bool(settings.lineage),
        "alerts": bool(settings.alerts),
    }
    yield from (_extra(name, is_needed=needed.get(name, False)) for name in extras.EXTRAS)
    yield _memory(settings.max_memory)
    yield _home(settings.home)


def disks(settings: Settings, store: LakeStore, last_bytes: int) -> Iterator[CheckLine]:
    """The room where a run writes: twice the last run's bytes where the lake, or what is kept for it, comes to be."""
    outputs = store.folder or settings.home
    places = {"lake" if store.folder else "home": outputs, "home": settings.home}
    places["temporary"] = Path(tempfile.gettempdir())
    told: set[tuple[int, bool]] = set()
    for name, folder in places.items():
        there = _existing(folder)
        needed = last_bytes if folder == outputs else 0
        # folders of one disk are told once, with the needs of the first
        if there.stat().st_dev not in {device for device, _ in told}:
            yield _disk(f"disk {name}", there, needed)
        told.add((there.stat().st_dev, bool(needed)))


def _home(folder: Path) -> CheckLine:
    """Locks, spooled objects, the local catalog and what was alerted are kept there."""
    there = _existing(folder)
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        told = f"{folder} cannot be written: {error.strerror}"
        return CheckLine("home", told, UnreachableError.exit_code, "set SHOPEASE_HOME to a folder that can")
    return CheckLine("home", f"{folder} can be written")


def _existing(folder: Path) -> Path:
    return next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())


def _disk(name: str, folder: Path, last_bytes: int) -> CheckLine:
    free = shutil.disk_usage(folder).free
    detail = f"{free / 1e9:,.1f} GB free at {folder}"
    if last_bytes:
        detail += f"; the last run wrote {last_bytes / 1e9:,.3f} GB"
    code = ShopeaseError.exit_code if free < last_bytes else 0
    is_low = free < max(LOW_DISK_BYTES, 2 * last_bytes)
    return CheckLine(name, detail, code, "make room" if is_low else None, is_low and not code)


def _extra(name: str, *, is_needed: bool) -> CheckLine:
    """Whether it is installed: a failure where a setting needs it; every lake is queried with `query`."""
    if not extras.missing(name):
        return CheckLine(f"extra {name}", "installed")
    fix = f"pip install 'shopease[{name}]'"
    if is_needed:
        return CheckLine(f"extra {name}", "not installed, and the settings need it", ConfigurationError.exit_code, fix)
    if name == "query":
        return warned(f"extra {name}", "not installed; `shopease query` needs it", fix)
    return CheckLine(f"extra {name}", "not installed; no setting needs it")


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"


def _memory(limit: int | None) -> CheckLine:
    planned, free = limit or USUAL, available_bytes()
    told = f"a run may take {planned / 1e6:,.0f} MB" if limit else f"a run plans with {planned / 1e6:,.0f} MB"
    if limit and limit < LEAST_MEMORY:
        fix = "raise SHOPEASE_MAX_MEMORY; the program alone needs about 300 MB"
        return warned("memory", told, fix)
    if free is None:
        return CheckLine("memory", f"{told}; this system does not tell how much is free")
    fix = "set SHOPEASE_MAX_MEMORY to less, or run it on a machine with more"
    return warned("memory", f"{told}, {free / 1e6:,.0f} MB are free", fix, is_bad=free < planned)
