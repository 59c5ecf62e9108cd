"""The bodies of requests to S3: plain, HTTP's chunks, and S3's own (aws-chunked) with checksums behind them."""

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BLOCK: Final = 1024 * 1024
_KEPT: Final = 1024 * 1024
"""What a client may ask for again: manifests, leases, state. Data are larger, or nobody reads them back."""


@dataclass(frozen=True)
class Body:
    """A body that has arrived; `data` is None where it was dropped."""

    size: int
    data: bytes | None

    @property
    def text(self) -> str:
        """A small body, which is kept, as text."""
        return (self.data or b"").decode()


class _Chunks(io.RawIOBase):
    """What is in chunks, each with its length in hexadecimal before it; trailers go to `headers`."""

    def __init__(self, stream: io.BufferedReader, headers: dict[str, str]) -> None:
        self._stream = stream
        self._headers = headers
        self._left = 0
        self._ended = False

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """The next bytes, of one chunk at most."""
        if not self._left and not self._ended:
            self._left = int(self._stream.readline().partition(b";")[0], 16)
            if not self._left:
                self._read_trailers()
        if self._ended:
            return 0
        view = memoryview(buffer)[: self._left]
        read = self._stream.readinto(view)
        self._left -= read
        if not self._left:
            self._stream.readline()
        return read

    def _read_trailers(self) -> None:
        self._ended = True
        while line := self._stream.readline().decode("latin-1").strip():
            name, _, value = line.partition(":")
            self._headers[name.lower()] = value.strip()


def request_body(stream: io.BufferedReader, headers: dict[str, str], keep: bool) -> Body:
    """Read a body to its end; small ones are kept, and all with `keep`."""
    length = int(headers.get("content-length", 0))
    size = int(headers.get("x-amz-decoded-content-length", length))
    source = stream
    bounded = True
    if headers.get("transfer-encoding", "").lower() == "chunked":
        source, bounded = io.BufferedReader(_Chunks(source, headers), _BLOCK), False
    if "aws-chunked" in headers.get("content-encoding", ""):
        source, bounded = io.BufferedReader(_Chunks(source, headers), _BLOCK), False
    if bounded:
        return _read(source, length, keep or length <= _KEPT)
    return _read(source, None, keep or 0 < size <= _KEPT)


def _read(source: io.BufferedReader, length: int | None, keep: bool) -> Body:
    """So many bytes, or all; what is dropped is read into one buffer over and over."""
    if keep:
        data = source.read() if length is None else source.read(length)
        return Body(len(data), data)
    buffer = memoryview(bytearray(_BLOCK))
    size = 0
    while length is None or size < length:
        wanted = _BLOCK if length is None else min(_BLOCK, length - size)
        read = source.readinto(buffer[:wanted])
        if not read:
            break
        size += read
    return Body(size, None)
