"""Opens a dump, a local file or folder or an object on S3, in the format that its first bytes show."""

import contextlib
import io
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from shopease_etl.addresses import s3_address
from shopease_etl.errors import ConfigurationError
from shopease_etl.source.dumps import unpack
from shopease_etl.source.dumps.unpack import Format, Readable

if TYPE_CHECKING:
    from shopease_etl.aws import ObjectBody

CHUNK: Final = 1 << 20
DUMP_HINT: Final = "make one with: pg_dump --no-owner --format=plain DBNAME > sales_db.sql"
_TOC: Final = "toc.dat"


class _Counted(io.RawIOBase):
    """The bytes of a source, counted as they pass; a damaged source raises a ShopeaseError that names the dump."""

    def __init__(self, source: Readable, name: str) -> None:
        self._source = source
        self._name = name
        self.count = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Fills the buffer unless the source ends, so that a peek sees enough to find the format."""
        filled = 0
        while filled < len(buffer) and (part := self._read(len(buffer) - filled)):
            buffer[filled : filled + len(part)] = part
            filled += len(part)
        self.count += filled
        return filled

    def _read(self, size: int) -> bytes:
        try:
            return self._source.read(size)
        except unpack.READ_ERRORS as error:
            raise unpack.damage_error(self._name, error) from error


_Stream: TypeAlias = "io.BufferedReader[_Counted]"


@dataclass
class Dump:
    """An open dump: `stream` has its SQL if it is plain or compressed; an archive has a `path` instead."""

    name: str
    format: Format
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
def open_dump(location: str) -> Iterator[Dump]:
    """Opens the dump at a path or s3:// address; ConfigurationError if it does not exist or is not a dump."""
    if right := s3_address(location):
        message = f"cannot read the dump {location}: an S3 address must begin with s3://"
        raise ConfigurationError(message, hint=f"write it as {right}")
    name = location.rstrip("/").rpartition("/")[2] or location
    with contextlib.ExitStack() as stack:
        if location.startswith("s3://"):
            source, size = _open_s3(location)
            stack.callback(source.close)
            yield _Opening(name, stack, size).identified(source, None)
        elif Path(location).is_dir():
            yield _directory(Path(location).absolute(), name)
        else:
            path = Path(location).absolute()  # to pg_restore, -x.dump would be an option
            try:
                file = stack.enter_context(path.open("rb"))
            except OSError as error:
                raise ConfigurationError(f"cannot read the dump {location}: {error.strerror}") from error
            yield _Opening(name, stack, path.stat().st_size).identified(file, path)


def _directory(path: Path, name: str) -> Dump:
    """A directory dump; refuses one whose tables' files have no end, as pg_restore notices only some of them."""
    if not (path / _TOC).is_file():
        raise ConfigurationError(
            f"{name} is a folder without toc.dat, so not a directory dump",
            hint="pg_dump --format=directory --file=FOLDER DBNAME makes one",
        )
    for table in path.glob("[0-9]*.dat*"):
        with table.open("rb") as file:
            file.seek(max(0, table.stat().st_size - 16))
            end = file.read()
        is_complete = end.rstrip(b"\n").endswith((b"\n\\.", b";")) or end.startswith(b"\\.")
        if not end or (table.suffix == ".dat" and not is_complete):
            raise unpack.damage_error(name, f"{table.name} has no end")
    size = sum(file.stat().st_size for file in path.iterdir())
    return Dump(name, Format.DIRECTORY, size, path=path)


@dataclass
class _Opening:
    """Finds the dump in a file or stream; `stack` keeps open what the dump needs."""

    name: str
    stack: contextlib.ExitStack
    size: int
    _outer: Format | None = None
    _depth: int = 0
    _counted: _Counted | None = None

    def identified(self, source: Readable, path: Path | None) -> Dump:
        """The dump in the source, unpacked if need be; `path`: the file that has the same bytes."""
        self._depth += 1
        if self._depth > 5:
            raise ConfigurationError(
                f"{self.name} is packed more than 5 times", hint="unpack it, and restore the dump inside"
            )
        counted = _Counted(source, self.name)
        self._counted = self._counted or counted
        stream = self.stack.enter_context(io.BufferedReader(counted, CHUNK))
        head = stream.peek(512)
        inner = format_of(head)
        self._outer = self._outer or inner
        if inner in unpack.COMPRESSIONS:
            return self.identified(unpack.decompressed(stream, inner), None)
        if inner in (Format.TAR, Format.ZIP):
            return self._packed(path or self._spooled(stream), inner)
        if inner == Format.CUSTOM:
            if head[10:11] not in (b"", b"\1"):  # a custom dump has 1, a table of contents another number
                return self._table_of_contents(path)
            return Dump(self.name, inner, self.size, path=path or self._spooled(stream))
        _refuse_unless_sql(head, self.name)
        return Dump(self.name, self._outer, self.size, stream=stream, _counted=self._counted)

    def _packed(self, path: Path, kind: Format) -> Dump:
        """The dump in a tar or zip archive: a tar dump of pg_dump, the folder of a directory dump, or a single file."""
        if kind == Format.TAR and not unpack.is_complete_tar(path):
            raise unpack.damage_error(self.name, "its tar archive has no end")
        files = unpack.members(path, kind, self.name, self.stack)
        toc = next((file for file in files if file.path.name == _TOC), None)
        if toc and kind == Format.TAR and any(file.path.name == "restore.sql" for file in files):
            return Dump(self.name, Format.TAR, self.size, path=path)
        if toc:
            return self._unpacked_folder([file for file in files if file.path.parent == toc.path.parent])
        member = unpack.single_file(files, self.name)
        self.size, self._counted = member.size, None
        return self.identified(member.open(), None)

    def _unpacked_folder(self, files: list[unpack.Member]) -> Dump:
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="shopease-dump-")))
        for file in files:
            with (folder / file.path.name).open("wb") as target:
                shutil.copyfileobj(io.BufferedReader(_Counted(file.open(), self.name), CHUNK), target, CHUNK)
        return replace(_directory(folder, self.name), size=self.size)

    def _table_of_contents(self, path: Path | None) -> Dump:
        """The directory dump, given by its table of contents instead of its folder."""
        if path is None or path.name != _TOC:
            raise ConfigurationError(
                f"{self.name} is only the table of contents of a directory dump", hint="restore its folder instead"
            )
        return _directory(path.parent, path.parent.name)

    def _spooled(self, stream: "_Stream") -> Path:
        """A temporary file with the rest of the stream, as archives are not read in order."""
        file = self.stack.enter_context(tempfile.NamedTemporaryFile(prefix="shopease-dump-"))  # noqa: SIM115 (the stack closes it)
        while chunk := stream.read(CHUNK):
            file.write(chunk)
        file.flush()
        return Path(file.name)


def format_of(head: bytes) -> Format:
    """The format that the first 512 bytes of a dump show; PLAIN if they have no mark."""
    marks = (
        (b"PGDMP", Format.CUSTOM),
        (b"PK\x03\x04", Format.ZIP),
        (b"PK\x05\x06", Format.ZIP),
        (b"\x1f\x8b", Format.GZIP),
        (b"BZh", Format.BZIP2),
        (b"\xfd7zXZ\0", Format.XZ),
        (b"\x28\xb5\x2f\xfd", Format.ZSTD),
        (b"\x04\x22\x4d\x18", Format.LZ4),
    )
    plain = Format.TAR if head[257:262] == b"ustar" else Format.PLAIN
    return next((found for mark, found in marks if head.startswith(mark)), plain)


def _refuse_unless_sql(head: bytes, name: str) -> None:
    if not head:
        raise ConfigurationError(f"{name} is empty", hint=DUMP_HINT)
    foreign = (
        (rb"(?i)-- (?:MySQL|MariaDB) dump|/\*!\d{5}", "a dump of MySQL or MariaDB"),
        (rb"(?i)PRAGMA ", "a dump of SQLite"),
        (rb"\xff\xfe|\xfe\xff", "in UTF-16, as PowerShell's > writes it"),
    )
    for pattern, what in foreign:
        if re.match(pattern, head):
            raise ConfigurationError(f"{name} is {what}, which PostgreSQL cannot read", hint=DUMP_HINT)
    space_or_comment = rb"\s++|--[^\n]*+(?:\n|$)|/\*.*?(?:\*/|\Z)"
    statement = re.sub(rb"\A(?:\xef\xbb\xbf)?(?:" + space_or_comment + rb")*", b"", head, count=1, flags=re.S)
    verbs = (
        rb"alter|begin|comment|copy|create|delete|do|drop|grant|insert|"
        rb"lock|refresh|revoke|select|set|start|truncate|update|with"
    )
    is_sql = re.match(rb"\\[a-z]|(?:" + verbs + rb")\b(?![,;|\t])", statement, re.I)
    if b"\0" in head or (statement and not is_sql):
        raise ConfigurationError(f"{name} is not a dump: neither an archive of pg_dump nor SQL", hint=DUMP_HINT)


def _open_s3(location: str) -> tuple["ObjectBody", int]:
    from shopease_etl import aws

    bucket, _, key = location.removeprefix("s3://").partition("/")
    if not bucket or not key or key.endswith("/"):
        raise _directory_on_s3(location)
    client = aws.client("s3", location)
    with aws.translate_aws_errors(location):
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
