"""Files of a local lake: listed, linked, renamed into place, synced."""

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from shopease_etl import atomic
from shopease_etl.errors import UnreachableError
from shopease_etl.wording import room_hint

HINT: Final = "set SHOPEASE_LAKE to a folder that can be written"


def files_below(folder: Path) -> Iterator[Path]:
    """The regular files below a folder, by path, also those behind symbolic links to folders; none where it is missing.

    Raises:
        OSError: it, or a folder below it, cannot be read, or it is no folder.
    """

    def refuse(error: OSError) -> None:
        # what is deleted meanwhile is no file of the folder's; a link that leads nowhere is a fault
        if not isinstance(error, FileNotFoundError) or Path(error.filename).is_symlink():
            raise error

    seen: set[tuple[int, int]] = set()
    found: list[Path] = []
    for path, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        found += (Path(path, name) for name in names)
        status = Path(path).stat()
        if (place := (status.st_dev, status.st_ino)) in seen:  # links can go round in a circle
            folders.clear()
        seen.add(place)
    return iter(sorted(path for path in found if is_file(path)))


def is_file(path: Path) -> bool:
    """Whether a regular file is there; unlike pathlib's it raises OSError where that cannot be seen."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        if error.errno not in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
            raise
        return False


def entries(folder: Path) -> list[Path]:
    """What is in a folder, by name; nothing where it is missing. OSError where it cannot be read."""
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []


def delete_all(path: Path) -> None:
    """Delete a file, a link (not what it points to), or a folder with all that is in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def link(path: Path, target: Path) -> None:
    """A second name for a file; a copy, synced, on file systems that know no hard links."""
    with translated("write", target):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            target.hardlink_to(path)
        except OSError:
            with path.open("rb") as source, atomic.replacing(target) as copy:
                shutil.copyfileobj(source, copy)
        atomic.sync_folder(target.parent)


def put_in_place(staged: Path, target: Path) -> None:
    """Rename a staged file to where readers see it."""
    with translated("write", target):
        target.parent.mkdir(parents=True, exist_ok=True)
        atomic.put_in_place(staged, target)
    remove(staged)


def remove(staged: Path) -> None:
    """Delete a staged file, and the staging folder with the last of them."""
    with translated("delete", staged):
        staged.unlink(missing_ok=True)
    remove_if_empty(staged.parent)


def remove_if_empty(folder: Path) -> None:
    """Delete a folder that holds nothing."""
    with suppress(OSError):
        folder.rmdir()


@contextmanager
def translated(action: str, path: Path) -> Iterator[None]:
    """Let what the operating system refuses in the block be an UnreachableError that names action and path."""
    try:
        yield
    except OSError as error:
        message = f"cannot {action} {path}: {error.strerror or error}"
        raise UnreachableError(message, hint=_hint(action, path, error)) from error


def _hint(action: str, path: Path, error: OSError) -> str | None:
    if room := room_hint(error, path.parent):
        return room
    if action == "write":
        return HINT
    if isinstance(error, NotADirectoryError):
        return f"move away what is there: mv {path} {path}.old"
    if isinstance(error, PermissionError):
        return f"let the user of this command {action} it: `ls -ld {path}`, then chown or chmod"
    return None
