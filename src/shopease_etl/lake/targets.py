"""Checks that objects of a local lake can be replaced, before any of them is."""

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

from shopease_etl.contract import layout
from shopease_etl.errors import UnreachableError
from shopease_etl.nofollow import in_its_place

# A killed command leaves at most an empty file of this name, which the next command deletes.
PROBE: Final = ".shopease-probe"


def require_replaceable(root: Path, targets: Iterable[Path], folders: Iterable[Path]) -> None:
    """Check that files in `root` can be renamed to the targets and into the folders; no target is changed.

    Raises:
        UnreachableError: one cannot; the message names it, the hint says what to do.
    """
    source = _existing(root)
    paths = list(targets)
    for folder in sorted({_existing(folder) for folder in (*folders, *(path.parent for path in paths))}):
        _try_folder(source, folder)
    for path in paths:
        if os.path.lexists(path):
            _try_object(source, path)


def months_of(root: Path, keys: Iterable[str]) -> Iterator[str]:
    """The keys of the months that are there of the datasets that have these keys if they are one object."""
    for folder, _, name in (key.rpartition("/") for key in keys):
        months = (f"{folder}/{month.name}/{name}" for month in root.glob(f"{folder}/{layout.SALE_MONTH}=*"))
        yield from filter(layout.owns, months)


def require_no_links(root: Path, targets: Iterable[Path]) -> None:
    """Raise UnreachableError if a target, or a folder above it in `root`, is a symbolic link.

    The target of a link may be outside of the lake's folder, where queries cannot read.
    """
    within = {path for target in targets for path in (target, *target.parents) if root in path.parents}
    for path in sorted(within):
        if os.path.islink(path):  # noqa: PTH114 - pathlib's raises if it may not look
            message = f"{path} is a symbolic link, which is not allowed in the lake's folder"
            replace = f"replace it with its target: {in_its_place(path)}"
            raise UnreachableError(message, hint=replace if path.exists() else f"move it away: mv {path} {path}.old")


def require_creatable(folder: Path) -> None:
    """Raise UnreachableError if the folder, which may be on another disk, cannot be written."""
    there = _existing(folder)
    _try_folder(there, there)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest existing one above it."""
    there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not there.is_dir():
        what = "a symbolic link to nothing" if there.is_symlink() else "not a folder"
        message = f"cannot write to {there}: it is {what}"
        raise UnreachableError(message, hint=f"move it away: mv {there} {there}.old")
    return there


def _try_folder(source: Path, folder: Path) -> None:
    probe, arrived = source / f"{PROBE}-{uuid4().hex}", folder / PROBE
    try:
        with _refused(folder):
            probe.touch(exist_ok=False)
            probe.replace(arrived)
    finally:
        for path in (probe, arrived):
            with suppress(OSError):
                path.unlink()


def _try_object(source: Path, path: Path) -> None:
    """Try to replace a file by a folder: that fails, but only after the system has checked the file's permissions."""
    if path.is_dir() and not path.is_symlink():
        message = f"cannot replace {path}: it is a folder, and a file must be there"
        raise UnreachableError(message, hint=f"move it away: mv {path} {path}.old")
    probe = source / f"{PROBE}-{uuid4().hex}"
    try:
        with _refused(path):
            _require_same_mount(path, probe)
            probe.mkdir()
            with suppress(NotADirectoryError):
                probe.replace(path)
                path.rmdir()  # the file was deleted in between
    finally:
        with suppress(OSError):
            probe.rmdir()


def _require_same_mount(path: Path, probe: Path) -> None:
    """A single file can be a mount point, which cannot be replaced."""
    try:
        os.link(path, probe, follow_symlinks=False)
        probe.unlink()
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise


@contextmanager
def _refused(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        return  # another run deleted the probe, or a folder was deleted: this proves nothing
    except OSError as error:
        message = f"cannot {'write to' if path.is_dir() else 'replace'} {path}: {error.strerror}"
        raise UnreachableError(message, hint=_hint(error, path)) from error


def _hint(error: OSError, path: Path) -> str:
    if error.errno in {errno.EXDEV, errno.EBUSY}:
        return "all of a lake must be on one disk: put the folder itself where its link or mount is, or move the lake"
    if error.errno == errno.EROFS:
        return "mount that disk for writing, or set SHOPEASE_LAKE to another folder"
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "make room on that disk"
    if error.errno == errno.EPERM:
        return f"see `lsattr -d {path}` (i: `chattr -i`) and `ls -l`: in a sticky folder only the owner replaces a file"
    return f"give it to the user of the runs: `ls -ld {path}`, then chown or chmod"
