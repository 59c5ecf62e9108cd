"""The driver's log of a job, which EMR Serverless puts into S3 when it has ended, or a little later."""

import gzip
import io
import re
import time
import zlib
from collections import deque
from dataclasses import dataclass
from typing import Final

from shopease_etl import cancel
from shopease_etl.lake.store import Store

EXIT_CODE: Final = "shopease: exit code "
LOG_SECONDS: Final = 60.0
_LINES: Final = 20
_OF_SPARK: Final = re.compile(r"\d\d/\d\d/\d\d \d\d:\d\d:\d\d INFO ")
_LONGEST_LINE: Final = 2000
_PAUSE: Final = 2.0


@dataclass(frozen=True)
class DriverLog:
    """The end of a driver's log, at most twenty lines, and the exit code in it; None if there is none.

    What Spark says as information, or after the line with the exit code, is left out.
    """

    lines: tuple[str, ...] = ()
    exit_code: int | None = None


def driver_log_key(logs: str, application: str, job: str) -> str:
    """The key of what a job's driver wrote to stderr, below the prefix of the logs."""
    return f"{logs}applications/{application}/jobs/{job}/SPARK_DRIVER/stderr.gz"


def read_driver_log(store: Store, key: str) -> DriverLog:
    """The end of the log; waits up to `LOG_SECONDS` until it is there and has the exit code.

    Raises:
        UnreachableError: the store refuses it.
    """
    until, seen, log = time.monotonic() + LOG_SECONDS, None, DriverLog()
    while True:
        if (found := store.find(key)) and found != seen:
            seen, log = found, _parse(store.read(key))
        if log.exit_code is not None or time.monotonic() > until:
            return log
        cancel.wait(_PAUSE)


def _parse(packed: bytes) -> DriverLog:
    """What can be read of the log, also if its end is missing."""
    recent: deque[str] = deque(maxlen=_LINES)
    found: DriverLog | None = None
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
            while line := file.readline(_LONGEST_LINE):
                text = line.decode(errors="replace").rstrip("\r\n")
                if code := re.fullmatch(f"{EXIT_CODE}([0-9]{{1,3}})", text):
                    found = DriverLog(tuple(recent), int(code[1]))
                if not _OF_SPARK.match(text):
                    recent.append(text)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        recent.append("(the rest of the log cannot be unpacked)")
    return found or DriverLog(tuple(recent))
