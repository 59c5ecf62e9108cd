"""Work in the tasks of Apache Spark: on other machines, by the same functions."""

import os
import pickle
import platform
import re
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, Self
from uuid import uuid4

import polars as pl
import pyarrow as pa
from py4j.protocol import Py4JError
from pyspark import SparkContext, TaskContext
from pyspark.errors import PySparkException
from pyspark.java_gateway import launch_gateway
from pyspark.sql import DataFrame, SparkSession
from pyspark.storagelevel import StorageLevel

from shopease_etl import __version__, cancel
from shopease_etl.errors import ConfigurationError, ShopeaseError, SourceFaultError, UnreachableError
from shopease_etl.nofollow import make_folder, open_file
from shopease_etl.transform.executor import Item, Result
from shopease_etl.transform.rivals import Keyed, by_month, losers, pack_rivals, unpack_rivals
from shopease_etl.wording import one_line

# The first row of an item has its result, the others have rows that are kept for a search.
_OUTPUT: Final = "item long, result binary, month string, rows binary"
_SCHEMA: Final = pa.schema(
    [("item", pa.int64()), ("result", pa.binary()), ("month", pa.string()), ("rows", pa.binary())]
)
_BUCKETS: Final = "bucket long, month string, rows binary"
_BUCKET_SCHEMA: Final = pa.schema([("bucket", pa.int64()), ("month", pa.string()), ("rows", pa.binary())])
_LOST_SCHEMA: Final = pa.schema([("month", pa.string()), ("key", pa.int64())])
_BUCKET_COUNT: Final = 64
_ROWS: Final = 1_000_000  # of a month that are in memory together
_ARCHIVE_HINT: Final = "build the executors' packages again with `make spark-archive`, and set spark.archives to them"


class SparkExecutor:
    """Spark's tasks, one for each item; work, items and results go to and fro by pickle.

    A task that fails for a reason that may pass is tried again by Spark, as are the tasks of a machine that is lost:
    work must not mind that it is done twice, even at the same time.
    """

    def __init__(self, session: SparkSession) -> None:
        self._session = session
        session.conf.set("spark.sql.shuffle.partitions", str(_BUCKET_COUNT))  # there are no more groups

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result]:
        """What `work` returns for each item, in order; all results are awaited before the first is given."""
        yield from self.collected(self.tasks(partial(_plain, work), [*items]))

    def search(self) -> "SparkSearch":
        """A new search for keys that several months have."""
        return SparkSearch(self)

    def close(self) -> None:
        """End Spark's session."""
        self._session.stop()

    def tasks(self, work: Callable[[Item], Keyed[Result]], items: list[Item]) -> DataFrame:
        """The work, which is not begun yet: rows of `_OUTPUT`."""
        packed = [pickle.dumps(item) for item in items]
        last_attempt = _attempts(self._session) - 1
        run = partial(_run, pickle.dumps(work), packed, _versions(), last_attempt)
        return self._session.range(0, len(items), 1, max(1, len(items))).mapInArrow(run, _OUTPUT)

    def collected(self, tasks: DataFrame) -> list[Any]:
        """The results in the items' order.

        Raises:
            ShopeaseError: that of the first item whose work failed, or Spark's own failure.
        """
        found = self.awaited(lambda: tasks.where("result IS NOT NULL").select("item", "result").collect())
        results = [pickle.loads(row.result) for row in sorted(found, key=lambda row: int(row.item))]  # noqa: S301 - our own
        if error := next((result for result in results if isinstance(result, ShopeaseError)), None):
            raise error
        return results

    def awaited(self, work: Callable[[], Any]) -> Any:
        """What an action of Spark returns; an interrupt and a time limit end its jobs."""
        tag = f"shopease-{uuid4().hex}"

        def tagged() -> Any:
            self._session.addTag(tag)
            return work()

        try:
            return cancel.call(tagged)
        except (PySparkException, Py4JError) as error:
            raise _translated(error) from error
        except BaseException:
            with cancel.deferred("ending the work of Spark"), suppress(PySparkException, Py4JError):
                self._session.interruptTag(tag)
            raise


class SparkSearch:
    """A search whose rows are kept on the disks of Spark's machines."""

    def __init__(self, executor: SparkExecutor) -> None:
        self._executor = executor
        self._kept: list[DataFrame] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(PySparkException, Py4JError):  # Spark may be what failed
            for tasks in self._kept:
                tasks.unpersist()

    def map(self, work: Callable[[Item], Keyed[Result]], items: Iterable[Item]) -> list[Result]:
        """What `work` returns for each item, in order; its rows stay on the machines."""
        listed = [*items]
        if not listed:
            return []
        tasks = self._executor.tasks(work, listed).persist(StorageLevel.DISK_ONLY)
        self._kept.append(tasks)
        return self._executor.collected(tasks)

    def lost_keys(self) -> Mapping[str, pl.Series]:
        """By month, the keys of rows that are older than a row with the same key in another month, in order."""
        rows = [tasks.where("rows IS NOT NULL").select("month", "rows") for tasks in self._kept]
        if not rows:
            return {}
        every = rows[0]
        for more in rows[1:]:
            every = every.union(more)
        buckets = every.mapInArrow(_bucketed, _BUCKETS).groupBy("bucket")
        lost = buckets.applyInArrow(_losers, "month string, key long")
        return by_month(pl.DataFrame(pl.from_arrow(self._executor.awaited(lost.toArrow))))


def spark_session(name: str, log: Path) -> SparkSession:
    """Spark's session of this process, as spark-submit, SPARK_REMOTE or Spark's own files configure it.

    What Java writes goes to the file `log`, unless spark-submit has started it. An interrupt leaves the start behind.

    Raises:
        ConfigurationError: Spark does not start, such as for want of Java.
    """
    # executors on this machine run the same Python as this process, not the first one on the path
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    is_remote = "SPARK_REMOTE" in os.environ
    try:
        return cancel.call(lambda: _started(name, None if is_remote else log))
    except (PySparkException, Py4JError, RuntimeError, OSError, ImportError) as error:
        message = f"Spark does not start: {one_line(error)}"
        java = f"Spark 4 needs Java 17 or later (JAVA_HOME); {log} has what it wrote"
        hint = "SPARK_REMOTE needs `pip install 'pyspark[connect]'`, and a server that answers" if is_remote else java
        raise ConfigurationError(message, hint=hint) from error


def _started(name: str, log: Path | None) -> SparkSession:
    builder = SparkSession.builder.appName(name)
    if log:
        make_folder(log.parent)
        with open_file(log, "wb", 0o600) as file:
            gateway = launch_gateway(popen_kwargs={"stdout": file, "stderr": file})
        SparkContext._ensure_initialized(gateway=gateway)
        builder = builder.config("spark.ui.showConsoleProgress", "false")
    return builder.getOrCreate()


def _plain(work: Callable[[Item], Result], item: Item) -> Keyed[Result]:
    return Keyed(work(item), "", ())


def _attempts(session: SparkSession) -> int:
    """How often Spark tries a task; on a master of threads once."""
    is_local = (session.conf.get("spark.master", "") or "").split("[")[0] == "local"
    return int(session.conf.get("spark.task.maxFailures", "1" if is_local else "4") or 1)


def _versions() -> dict[str, str]:
    """What must be the same on all machines."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"Python": python, "shopease": __version__, "Polars": pl.__version__, "Arrow": pa.__version__}


def _run(
    work: bytes, items: list[bytes], versions: Mapping[str, str], last_attempt: int, batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Do the items of a task; an error that Spark's next attempt would meet again is a result."""
    for batch in batches:
        for item in batch.column(0).to_pylist():
            try:
                _require_same(versions)
                done = pickle.loads(work)(pickle.loads(items[item]))  # noqa: S301 - our own
            except ShopeaseError as error:
                attempt = context.attemptNumber() if (context := TaskContext.get()) else last_attempt
                if isinstance(error, SourceFaultError | UnreachableError) and attempt < last_attempt:
                    raise
                done = Keyed(error, "", ())
            yield _batch(item, pickle.dumps(done.result), None, None)
            for rows in done.rows:
                yield _batch(item, None, done.month, rows)


def _batch(item: int, result: bytes | None, month: str | None, rows: bytes | None) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([{"item": item, "result": result, "month": month, "rows": rows}], _SCHEMA)


def _require_same(versions: Mapping[str, str]) -> None:
    """Raise ConfigurationError if this machine has other versions than the driver."""
    differ = [f"{name} {own} instead of {versions[name]}" for name, own in _versions().items() if own != versions[name]]
    if differ:
        message = f"Spark's executors have {', '.join(differ)}"
        raise ConfigurationError(message, hint=_ARCHIVE_HINT)


def _bucketed(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The rows of the pieces by their keys' buckets, again in pieces: Spark moves a few large values, not each row."""
    waiting: dict[str, list[pl.DataFrame]] = {}
    for batch in batches:
        for month, piece in zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True):
            waiting.setdefault(month, []).append(unpack_rivals(piece))
            if sum(map(len, waiting[month])) >= _ROWS:
                yield _in_buckets(month, waiting.pop(month))
    for month, pieces in waiting.items():
        yield _in_buckets(month, pieces)


def _in_buckets(month: str, pieces: Sequence[pl.DataFrame]) -> pa.RecordBatch:
    found = pl.concat(pieces).with_columns(pl.col("key").mod(_BUCKET_COUNT).alias("bucket"))
    parts = found.partition_by("bucket", as_dict=True, include_key=False)
    rows = [{"bucket": bucket, "month": month, "rows": pack_rivals(part)} for (bucket,), part in parts.items()]
    return pa.RecordBatch.from_pylist(rows, _BUCKET_SCHEMA)


def _losers(bucket: pa.Table) -> pa.Table:
    """The keys that a month of the bucket loses to another."""
    pieces = zip(bucket["month"].to_pylist(), bucket["rows"].to_pylist(), strict=True)
    rivals = pl.concat(unpack_rivals(rows).with_columns(pl.lit(month).alias("month")) for month, rows in pieces)
    return losers(rivals).to_arrow(compat_level=pl.CompatLevel.oldest()).cast(_LOST_SCHEMA)


def _translated(error: Exception) -> ShopeaseError:
    """Spark's failure in our words: the last attempt's reason, without the Java stack."""
    text = str(error)
    if "No module named" in text:
        missing = text.partition("No module named ")[2].split("'")[1]
        message = f"Spark's executors do not have the Python package {missing}"
        return ConfigurationError(message, hint=_ARCHIVE_HINT)
    lines = [line.strip() for line in text.partition("JVM stacktrace")[0].splitlines() if line.strip()]
    reason = next((line for line in reversed(lines) if re.match(r"[\w.]+(Error|Exception)\b", line)), lines[0])
    return ShopeaseError(
        f"Spark failed: {one_line(reason)}",
        hint="the log of Spark (spark.log in SHOPEASE_HOME, or its own) has the details",
    )
