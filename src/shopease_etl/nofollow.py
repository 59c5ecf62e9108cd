"""Opens our own files and folders without following symbolic links, as other users may be able to write in a lake."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO, Literal

from shopease_etl.errors import UnreachableError


def refuse_link(path: Path) -> None:
    """Raise UnreachableError if the path itself is a symbolic link; folders above it may be links."""
    if os.path.islink(path):  # noqa: PTH114 - pathlib's raises if it may not look
        message = f"{path} is a symbolic link; its target could be overwritten or deleted"
        hint = f"remove it: rm {path}"
        if path.is_dir():
            hint = f"if its target is the lake's own folder, replace the link: {in_its_place(path)}; else {hint}"
        raise UnreachableError(message, hint=hint)


def in_its_place(link: Path) -> str:
    """The shell command that replaces a symbolic link by its target."""
    return f"rm {link} && mv {link.resolve()} {link}"


def make_folder(path: Path, mode: int = 0o777) -> None:
    """Create the folder and those above it; `mode`, less the umask, is for the last one.

    Raises:
        UnreachableError: it is a symbolic link or not a folder.
        OSError: it cannot be created.
    """
    refuse_link(path)
    try:
        path.mkdir(mode, parents=True, exist_ok=True)
    except FileExistsError as error:
        message = f"{path} is not a folder"
        raise UnreachableError(message, hint=f"move it away: mv {path} {path}.old") from error


def open_file(path: Path, mode: Literal["rb", "wb", "a+b"], permissions: int = 0o666) -> BinaryIO:
    """Open a regular file in one of our own folders; a new file gets the permissions, less the umask.

    Raises:
        UnreachableError: it or its folder is a symbolic link, or it would be written and has a second hard link.
        OSError: it cannot be opened.
    """
    refuse_link(path.parent)
    flags = {"rb": os.O_RDONLY, "wb": os.O_WRONLY | os.O_CREAT, "a+b": os.O_RDWR | os.O_CREAT | os.O_APPEND}[mode]
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, permissions)
    except OSError as error:
        if error.errno == errno.ELOOP:
            refuse_link(path)
        raise
    file = os.fdopen(descriptor, mode)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or (mode != "rb" and status.st_nlink > 1):
            message = f"{path} is not a plain file: it is a device or pipe, or has a second name (a hard link)"
            raise UnreachableError(message, hint=f"remove it: rm {path}")
        if mode == "wb":  # not O_TRUNC, which would empty the file before these checks
            os.ftruncate(descriptor, 0)
    except BaseException:
        file.close()
        raise
    return file
