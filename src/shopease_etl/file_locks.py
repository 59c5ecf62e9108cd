"""Advisory locks on open files and folders (flock), which the operating system drops when their holder dies."""

import fcntl
from typing import BinaryIO


def lock(file: int | BinaryIO, *, shared: bool = False, wait: bool = False) -> bool:
    """Lock an open file or folder until it is closed, for this process and all that inherit it.

    Returns False if another holds it and `wait` is not set.

    Raises:
        OSError: its file system has no locks.
    """
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True
