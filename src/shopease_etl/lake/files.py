"""Files of a local lake: list, link, rename into place, delete."""

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
    """The regular files below a folder by path, also through symbolic links to folders; none if it is missing.

    Raises:
        OSError: the folder, or one below it, cannot be read, or it is not a folder.
    """

    def refuse(error: OSError) -> None:
        # a file that was deleted during the walk is ignored; a broken link is an error
        if not isinstance(error, FileNotFoundError) or Path(error.filename).is_symlink():
            raise error

    seen: set[tuple[int, int]] = set()
    found: list[Path] = []
    for path, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        found += (Path(path, name) for name in names)
        status = Path(path).stat()
        if (place := (status.st_dev, status.st_ino)) in seen:  # links can form a circle
            folders.clear()
        seen.add(place)
    return iter(sorted(path for path in found if is_file(path)))


def is_file(path: Path) -> bool:
    """Whether a regular file is there; unlike pathlib's it raises OSError if that cannot be determined."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        if error.errno not in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
            raise
        return False


def entries(folder: Path) -> list[Path]:
    """What is in a folder, by name; nothing if it is missing. OSError if it cannot be read."""
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []


def delete_all(path: Path) -> None:
    """Delete a file, a link (not its target), or a folder with its contents."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def link(path: Path, target: Path) -> None:
    """A hard link to a file; a synced copy on file systems without hard links."""
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
    """Rename a staged file to the path that readers see."""
    with translated("write", target):
        target.parent.mkdir(parents=True, exist_ok=True)
        atomic.put_in_place(staged, target)
    remove(staged)


def remove(staged: Path) -> None:
    """Delete a staged file, and the staging folder when it is empty."""
    with translated("delete", staged):
        staged.unlink(missing_ok=True)
    remove_if_empty(staged.parent)


def remove_if_empty(folder: Path) -> None:
    """Delete a folder if it is empty."""
    with suppress(OSError):
        folder.rmdir()


@contextmanager
def translated(action: str, path: Path) -> Iterator[None]:
    """Turn an OSError in the block into an UnreachableError that names action and path."""
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
