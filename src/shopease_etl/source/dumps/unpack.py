"""Decompresses streams and takes dumps out of tar and zip archives, with no more than a piece in memory."""

import bz2
import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Final, Protocol, cast

from shopease_etl.errors import ConfigurationError, ShopeaseError


class Format(StrEnum):
    """The format of a dump, or what it is packed in."""

    PLAIN = "plain"
    CUSTOM = "custom"
    DIRECTORY = "directory"
    TAR = "tar"
    ZIP = "zip"
    GZIP = "gzip"
    BZIP2 = "bzip2"
    XZ = "xz"
    ZSTD = "zstd"
    LZ4 = "lz4"


COMPRESSIONS: Final = frozenset({Format.GZIP, Format.BZIP2, Format.XZ, Format.ZSTD, Format.LZ4})
READ_ERRORS: Final = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
"""What reading a damaged file raises."""

_UNPACK_HINT: Final = "unpack it, and restore the dump inside"


class Readable(Protocol):
    """What bytes are read from."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most `size`; none at the end."""


@dataclass(frozen=True)
class Member:
    """A file in an archive; `size` in bytes when unpacked."""

    path: PurePosixPath
    size: int
    open: Callable[[], Readable]


def decompressed(stream: Readable, compression: Format) -> Readable:
    """The decompressed stream; reading it raises one of `READ_ERRORS` if it is damaged."""
    source = cast("IO[bytes]", stream)
    match compression:
        case Format.GZIP:
            return gzip.GzipFile(fileobj=source)
        case Format.BZIP2:
            return bz2.BZ2File(source)
        case Format.XZ:
            return lzma.LZMAFile(source)
    import pyarrow as pa

    return cast("Readable", pa.input_stream(pa.PythonFile(stream, mode="r"), compression=compression.value))


def members(path: Path, kind: Format, name: str, stack: ExitStack) -> list[Member]:
    """The files in the TAR or ZIP archive at `path`; `name` is what messages call it."""
    found = _zip_members(path, name, stack) if kind == Format.ZIP else _tar_members(path, stack)
    return [member for member in found if "__MACOSX" not in member.path.parts and member.path.name[:1] != "."]


def _tar_members(path: Path, stack: ExitStack) -> list[Member]:
    archive = stack.enter_context(tarfile.open(path, "r:"))  # noqa: SIM115 (the stack closes it)
    return [
        Member(PurePosixPath(info.name), info.size, cast("Callable[[], Readable]", partial(archive.extractfile, info)))
        for info in archive.getmembers()
        if info.isfile()
    ]


def _zip_members(path: Path, name: str, stack: ExitStack) -> list[Member]:
    try:
        archive = stack.enter_context(zipfile.ZipFile(path))
    except zipfile.BadZipFile as error:
        raise damage_error(name, error) from error
    infos = [info for info in archive.infolist() if not info.is_dir()]
    supported = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    for info in infos:
        if info.flag_bits & 1 or info.compress_type not in supported:
            problem = "encrypted" if info.flag_bits & 1 else "packed in a way that is not supported"
            raise ConfigurationError(f"{name} is {problem}", hint=_UNPACK_HINT)
    return [Member(PurePosixPath(info.filename), info.file_size, partial(archive.open, info)) for info in infos]


def is_complete_tar(path: Path) -> bool:
    """Whether all members and the closing blocks are there; without them pg_restore would read forever."""
    try:
        with tarfile.open(path, "r:") as archive:
            archive.getmembers()
    except tarfile.TarError:
        return False
    with path.open("rb") as file:
        file.seek(-1024, 2)
        return not any(file.read())


def single_file(files: list[Member], name: str) -> Member:
    """The only file in an archive; ConfigurationError if it has several or none."""
    if len(files) != 1:
        named = ", ".join(str(member.path) for member in files[:3]) + (", …" if len(files) > 3 else "")
        raise ConfigurationError(f"{name} contains {len(files)} files instead of one dump: {named}", hint=_UNPACK_HINT)
    return files[0]


def damage_error(name: str, why: object) -> ShopeaseError:
    """The error for a dump that cannot be read to its end."""
    return ShopeaseError(f"{name} is damaged or cut off: {why}", hint="nothing was restored; copy or dump it again")
