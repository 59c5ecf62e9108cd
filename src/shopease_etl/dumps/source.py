"""Opens a dump by what its first bytes say: a local file or folder, or an object on S3, streamed and decompressed."""

import contextlib
import io
import re
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from shopease_etl.addresses import s3_address
from shopease_etl.errors import ConfigurationError, ShopeaseError

if TYPE_CHECKING:
    from shopease_etl.aws import ObjectBody

CHUNK: Final = 1 << 20
PLAIN: Final = "plain"
GZIP: Final = "gzip"
ZSTD: Final = "zstd"
CUSTOM: Final = "custom"
DIRECTORY: Final = "directory"
TAR: Final = "tar"
ARCHIVES: Final = (CUSTOM, DIRECTORY, TAR)

DUMP_HINT: Final = "make one with: pg_dump --no-owner --format=plain DBNAME > sales_db.sql"
_MAGIC: Final = ((0, b"PGDMP", CUSTOM), (0, b"\x1f\x8b", GZIP), (0, b"\x28\xb5\x2f\xfd", ZSTD), (257, b"ustar", TAR))
_FOREIGN: Final = (
    (re.compile(rb"-- (?:MySQL|MariaDB) dump|/\*!\d{5}", re.I), "a dump of MySQL or MariaDB"),
    (re.compile(rb"PRAGMA ", re.I), "a dump of SQLite"),
    (re.compile(rb"\xff\xfe|\xfe\xff"), "in UTF-16, as PowerShell's > writes it"),
)
_NOISE: Final = re.compile(rb"(?:\xef\xbb\xbf)?(?:\s++|--[^\n]*+(?:\n|$)|/\*.*?\*/)*", re.S)
_VERBS: Final = (
    rb"alter|begin|comment|copy|create|delete|do|drop|grant|insert|"
    rb"lock|refresh|revoke|select|set|start|truncate|update|with"
)
_STATEMENT: Final = re.compile(rb"\\[a-z]|(?:" + _VERBS + rb")\b(?![,;|\t])", re.I)


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Counted(io.RawIOBase):
    """Bytes of a source, counted as they pass; a source that breaks off raises a ShopeaseError that names the dump."""

    def __init__(self, source: _Readable, name: str) -> None:
        self._source = source
        self._name = name
        self.count = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Fills the whole buffer unless the source ends, so that a peek sees enough to tell the format."""
        filled = 0
        while filled < len(buffer) and (part := self._read(len(buffer) - filled)):
            buffer[filled : filled + len(part)] = part
            filled += len(part)
        self.count += filled
        return filled

    def _read(self, size: int) -> bytes:
        try:
            return self._source.read(size)
        except OSError as error:
            raise ShopeaseError(f"{self._name} is damaged or cut off: {error}", hint="nothing was restored") from error


_Stream: TypeAlias = "io.BufferedReader[_Counted]"


@dataclass
class Dump:
    """An open dump: `stream` yields SQL where it is plain or compressed; an archive has a `path` instead."""

    name: str
    format: str
    size: int
    path: Path | None = None
    stream: "_Stream | None" = None
    _counted: _Counted | None = field(default=None, repr=False)

    @property
    def bytes_read(self) -> int:
        """How much of `size` has been read through `stream`."""
        return self._counted.count if self._counted else 0

    def chunks(self) -> Iterator[bytes]:
        """The SQL of a plain dump, in pieces of about a megabyte."""
        while self.stream is not None and (chunk := self.stream.read(CHUNK)):
            yield chunk


@contextlib.contextmanager
def opened(location: str) -> Iterator[Dump]:
    """Opens the dump at a path or s3:// address; ConfigurationError where it is missing or none."""
    if right := s3_address(location):
        message = f"cannot read the dump {location}: an S3 address must begin with s3://"
        raise ConfigurationError(message, hint=f"write it as {right}")
    name = location.rstrip("/").rpartition("/")[2] or location
    with contextlib.ExitStack() as stack:
        if location.startswith("s3://"):
            source, size = _open_s3(location)
            stack.callback(source.close)
            yield _identify(source, name, size, None, stack)
        elif Path(location).is_dir():
            yield _directory(Path(location).absolute(), name)
        else:
            path = Path(location).absolute()  # pg_restore would take -x.dump for an option
            try:
                file = stack.enter_context(path.open("rb"))
            except OSError as error:
                raise ConfigurationError(f"cannot read the dump {location}: {error.strerror}") from error
            yield _identify(file, name, path.stat().st_size, path, stack)


def _directory(path: Path, name: str) -> Dump:
    if not (path / "toc.dat").is_file():
        raise ConfigurationError(
            f"{name} is a folder without toc.dat, so no directory dump",
            hint="pg_dump --format=directory --file=FOLDER DBNAME makes one",
        )
    for file in path.glob("[0-9]*.dat*"):
        if not _is_whole_data_file(file):
            raise ShopeaseError(f"{name} is damaged or cut off: {file.name} has no end", hint="nothing was restored")
    size = sum(file.stat().st_size for file in path.iterdir())
    return Dump(name, DIRECTORY, size, path=path)


def _is_whole_data_file(path: Path) -> bool:
    """Whether a table's file has its end; pg_restore notices that only where it is compressed and not empty."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 16))
        end = file.read()
    return bool(end) and (
        path.suffix != ".dat" or end.rstrip(b"\n").endswith((b"\n\\.", b";")) or end.startswith(b"\\.")
    )


def _identify(source: _Readable, name: str, size: int, path: Path | None, stack: contextlib.ExitStack) -> Dump:
    counted = _Counted(source, name)
    stream = stack.enter_context(io.BufferedReader(counted, CHUNK))
    outer = inner = format_of(stream.peek(512))
    if outer in (GZIP, ZSTD):
        path = None
        stream = stack.enter_context(_decompressed(stream, outer, name))
        inner = format_of(stream.peek(512))
    if inner in ARCHIVES:
        path = path or _spooled(stream, stack)
        if inner == TAR and not _is_whole_tar(path):
            raise ShopeaseError(
                f"{name} is damaged or cut off: its tar archive has no end", hint="nothing was restored"
            )
        return Dump(name, inner, size, path=path)
    _refuse_unless_sql(stream.peek(512), name)
    return Dump(name, outer, size, stream=stream, _counted=counted)


def format_of(head: bytes) -> str:
    """The format that a dump's first 512 bytes tell; whatever bears no mark may be plain."""
    for offset, magic, name in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return name
    return PLAIN


def _decompressed(stream: _Stream, compression: str, name: str) -> _Stream:
    import pyarrow as pa

    source = pa.input_stream(pa.PythonFile(stream, mode="r"), compression=compression)
    return io.BufferedReader(_Counted(source, name), CHUNK)


def _spooled(stream: _Stream, stack: contextlib.ExitStack) -> Path:
    """A temporary file with the rest of the stream, as pg_restore seeks in archives."""
    file = stack.enter_context(tempfile.NamedTemporaryFile(prefix="shopease-dump-"))  # noqa: SIM115 (the stack closes it)
    while chunk := stream.read(CHUNK):
        file.write(chunk)
    file.flush()
    return Path(file.name)


def _is_whole_tar(path: Path) -> bool:
    """Whether every member and the closing blocks are there; pg_restore would read for ever where they are not."""
    try:
        with tarfile.open(path, "r:") as archive:
            archive.getmembers()
    except tarfile.TarError:
        return False
    with path.open("rb") as file:
        file.seek(-1024, io.SEEK_END)
        return not any(file.read())


def _refuse_unless_sql(head: bytes, name: str) -> None:
    if not head:
        raise ConfigurationError(f"{name} is empty", hint=DUMP_HINT)
    for pattern, what in _FOREIGN:
        if pattern.match(head):
            raise ConfigurationError(f"{name} is {what}: no dump that PostgreSQL reads", hint=DUMP_HINT)
    statement = head[_NOISE.match(head).end() :]  # type: ignore[union-attr]
    if b"\0" in head or (statement and not _STATEMENT.match(statement)):
        raise ConfigurationError(f"{name} is no dump: neither an archive of pg_dump nor SQL", hint=DUMP_HINT)


def _open_s3(location: str) -> tuple["ObjectBody", int]:
    from shopease_etl import aws

    bucket, _, key = location.removeprefix("s3://").partition("/")
    if not bucket or not key or key.endswith("/"):
        raise _directory_on_s3(location)
    client = aws.client("s3", location)
    with aws.refusals(location):
        try:
            body = aws.ObjectBody(client, bucket, key)
        except client.exceptions.NoSuchBucket as error:
            raise ConfigurationError(f"there is no bucket {bucket}") from error
        except client.exceptions.NoSuchKey as error:
            raise _missing_on_s3(client, bucket, key) from error
    return body, body.size


def _missing_on_s3(client: Any, bucket: str, key: str) -> ConfigurationError:
    if client.list_objects_v2(Bucket=bucket, Prefix=f"{key}/toc.dat", MaxKeys=1).get("KeyCount"):
        return _directory_on_s3(f"s3://{bucket}/{key}")
    return ConfigurationError(f"there is no object s3://{bucket}/{key}")


def _directory_on_s3(location: str) -> ConfigurationError:
    return ConfigurationError(
        f"{location} names no object: a directory dump cannot be restored from S3",
        hint="copy it here first: aws s3 sync S3_FOLDER FOLDER, or dump with --format=custom",
    )
