"""Decompresses streams and takes dumps out of tar and zip archives, without more in memory than a piece."""

import bz2
import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final, Protocol, cast

from shopease_etl.errors import ConfigurationError, ShopeaseError

GZIP: Final = "gzip"
BZIP2: Final = "bzip2"
XZ: Final = "xz"
ZSTD: Final = "zstd"
LZ4: Final = "lz4"
COMPRESSIONS: Final = {
    b"\x1f\x8b": GZIP,
    b"BZh": BZIP2,
    b"\xfd7zXZ\0": XZ,
    b"\x28\xb5\x2f\xfd": ZSTD,
    b"\x04\x22\x4d\x18": LZ4,
}
"""The compressions by the bytes that their files begin with."""

DAMAGES: Final = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
"""What reading a damaged file raises."""

_UNPACK_HINT: Final = "unpack it, and give the dump that is in it"
_ZIP_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


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


def decompressed(stream: Readable, compression: str) -> Readable:
    """What the stream holds; reading it raises one of `DAMAGES` where it is damaged."""
    source = cast("IO[bytes]", stream)
    match compression:
        case "gzip":
            return gzip.GzipFile(fileobj=source)
        case "bzip2":
            return bz2.BZ2File(source)
        case "xz":
            return lzma.LZMAFile(source)
    import pyarrow as pa

    return cast("Readable", pa.input_stream(pa.PythonFile(stream, mode="r"), compression=compression))


def members(path: Path, kind: str, name: str, stack: ExitStack) -> list[Member]:
    """The files in the archive at `path`, which is a "tar" or a "zip"; `name` is what messages call it."""
    if kind == "tar":
        tar = stack.enter_context(tarfile.open(path, "r:"))  # noqa: SIM115 (the stack closes it)
        files = [info for info in tar.getmembers() if info.isfile()]
        found = [Member(PurePosixPath(info.name), info.size, _opener(tar.extractfile, info)) for info in files]
    else:
        found = _zipped(path, name, stack)
    return [member for member in found if "__MACOSX" not in member.path.parts and member.path.name[:1] != "."]


def _zipped(path: Path, name: str, stack: ExitStack) -> list[Member]:
    try:
        archive = stack.enter_context(zipfile.ZipFile(path))
    except zipfile.BadZipFile as error:
        raise damaged(name, error) from error
    infos = [info for info in archive.infolist() if not info.is_dir()]
    for info in infos:
        if info.flag_bits & 1 or info.compress_type not in _ZIP_METHODS:
            raise ConfigurationError(
                f"{name} is {'encrypted' if info.flag_bits & 1 else 'packed in a way that is not supported'}",
                hint=_UNPACK_HINT,
            )
    return [Member(PurePosixPath(info.filename), info.file_size, _opener(archive.open, info)) for info in infos]


def _opener(opening: Callable[[Any], Any], info: object) -> Callable[[], Readable]:
    return lambda: cast("Readable", opening(info))


def is_whole_tar(path: Path) -> bool:
    """Whether every member and the closing blocks are there; pg_restore would read for ever where they are not."""
    try:
        with tarfile.open(path, "r:") as archive:
            archive.getmembers()
    except tarfile.TarError:
        return False
    with path.open("rb") as file:
        file.seek(-1024, 2)
        return not any(file.read())


def only_one(files: list[Member], name: str) -> Member:
    """The dump in an archive that holds nothing else; ConfigurationError where it holds several files or none."""
    if len(files) != 1:
        named = ", ".join(str(member.path) for member in files[:3]) + (", …" if len(files) > 3 else "")
        raise ConfigurationError(f"{name} holds {len(files)} files and not one dump: {named}", hint=_UNPACK_HINT)
    return files[0]


def damaged(name: str, why: object) -> ShopeaseError:
    """The error of a dump that cannot be read to its end."""
    return ShopeaseError(f"{name} is damaged or cut off: {why}", hint="nothing was restored; fetch or make it again")
