"""What an S3 server knows: objects, parts of objects, and how it answers who asks for them."""

import itertools
import re
import threading
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from html import escape, unescape
from typing import Final
from urllib.parse import unquote

from benchmarks.s3_bodies import Body

_NUMBERS: Final = itertools.count(1)
_CHECKSUM: Final = "x-amz-checksum-"
_NEVER_READ: Final = "this sink keeps small bodies only: start it with --keep"
Headers = dict[str, str]


@dataclass(frozen=True)
class Entry:
    """An object, or a part of one; `data` is None where it was dropped."""

    size: int
    data: bytes | None
    headers: Headers
    etag: str
    written: float = field(default_factory=time.time)


@dataclass
class Writer:
    """A multipart upload under way."""

    path: str
    headers: Headers
    parts: dict[int, Entry] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What is sent back."""

    status: int = 200
    headers: Headers = field(default_factory=dict)
    body: bytes = b""
    length: int | None = None


@dataclass(frozen=True)
class Request:
    """One request, its body read."""

    method: str
    path: str
    query: dict[str, str]
    headers: Headers
    body: Body

    def kept_headers(self) -> Headers:
        """What a HEAD or GET of the object shall tell again."""
        return {name: value for name, value in self.headers.items() if name.startswith(("x-amz-meta-", "content-type"))}


def _etag(suffix: str = "") -> str:
    return f'"{next(_NUMBERS):032x}{suffix}"'


def _refused(status: int, code: str, message: str = "") -> Answer:
    return Answer(status, body=f"<Error><Code>{code}</Code><Message>{message or code}</Message></Error>".encode())


def _date(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(moment))


class Objects:
    """The objects of all buckets; every request is answered under one lock, after its body has arrived."""

    def __init__(self) -> None:
        self._objects: dict[str, Entry] = {}
        self._uploads: dict[str, Writer] = {}
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Answer:
        """What S3 would answer."""
        with self._lock:
            if "/" not in request.path.strip("/"):
                return self._bucket(request)
            if request.method == "POST" or "uploadId" in request.query:
                return self._multipart(request)
            if request.method in {"GET", "HEAD"}:
                return self._get(request)
            return self._put(request) if request.method == "PUT" else self._delete(request)

    def _bucket(self, request: Request) -> Answer:
        if request.method == "HEAD":
            return Answer(headers={"x-amz-bucket-region": "us-east-1"})
        if request.method == "POST":
            keys = [unescape(key) for key in re.findall("<Key>(.*?)</Key>", request.body.text, re.DOTALL)]
            for key in keys:
                self._objects.pop(f"{request.path}/{key}", None)
            return Answer(body=b"<DeleteResult></DeleteResult>")
        if request.method == "GET" and not request.query.keys() & {"location", "versioning", "uploads"}:
            return self._listing(request)
        name = next(iter(request.query), "")
        bodies = {"location": "LocationConstraint", "versioning": "VersioningConfiguration"}
        tag = bodies.get(name, "ListMultipartUploadsResult")
        return Answer(body=f"<{tag}></{tag}>".encode())

    def _listing(self, request: Request) -> Answer:
        prefix, delimiter = request.query.get("prefix", ""), request.query.get("delimiter", "")
        start = f"{request.path}/{prefix}"
        found, folders = [], set()
        for path in sorted(path for path in self._objects if path.startswith(start)):
            rest = path.removeprefix(start)
            if delimiter and delimiter in rest:
                folders.add(prefix + rest.partition(delimiter)[0] + delimiter)
                continue
            entry = self._objects[path]
            found.append(
                f"<Contents><Key>{escape(prefix + rest)}</Key><LastModified>{_date(entry.written)}</LastModified>"
                f"<ETag>{escape(entry.etag)}</ETag><Size>{entry.size}</Size></Contents>"
            )
        found += [f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in sorted(folders)]
        head = f"<IsTruncated>false</IsTruncated><KeyCount>{len(found)}</KeyCount><Prefix>{escape(prefix)}</Prefix>"
        return Answer(body=f"<ListBucketResult>{head}{''.join(found)}</ListBucketResult>".encode())

    def _get(self, request: Request) -> Answer:
        entry = self._objects.get(request.path)
        if entry is None:
            return _refused(404, "NoSuchKey")
        told = {"ETag": entry.etag, "Last-Modified": formatdate(entry.written, usegmt=True), **entry.headers}
        told["Accept-Ranges"] = "bytes"
        if request.method == "HEAD":
            return Answer(headers=told, length=entry.size)
        if entry.data is None:
            return _refused(500, "InternalError", _NEVER_READ)
        span = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("range", ""))
        if span is None:
            return Answer(headers=told, body=entry.data)
        first = int(span[1]) if span[1] else max(0, entry.size - int(span[2]))
        last = min(entry.size, int(span[2]) + 1 if span[1] and span[2] else entry.size)
        if first >= entry.size:
            return _refused(416, "InvalidRange")
        told["Content-Range"] = f"bytes {first}-{last - 1}/{entry.size}"
        return Answer(206, told, entry.data[first:last])

    def _put(self, request: Request) -> Answer:
        there = self._objects.get(request.path)
        if self._forbids(request, there):
            return _refused(412, "PreconditionFailed")
        if source := request.headers.get("x-amz-copy-source"):
            copied = self._objects.get("/" + unquote(source).strip("/"))
            if copied is None:
                return _refused(404, "NoSuchKey")
            self._objects[request.path] = copied
            return Answer(body=f"<CopyObjectResult><ETag>{escape(copied.etag)}</ETag></CopyObjectResult>".encode())
        entry = Entry(request.body.size, request.body.data, request.kept_headers(), _etag())
        self._objects[request.path] = entry
        return Answer(headers={"ETag": entry.etag, **_checksums(request)})

    def _delete(self, request: Request) -> Answer:
        if self._forbids(request, self._objects.get(request.path)):
            return _refused(412, "PreconditionFailed")
        self._objects.pop(request.path, None)
        return Answer(204)

    def _forbids(self, request: Request, there: Entry | None) -> bool:
        """Whether If-None-Match or If-Match speaks against a change."""
        wanted = request.headers.get("if-match")
        return bool(("if-none-match" in request.headers and there) or (wanted and (not there or there.etag != wanted)))

    def _multipart(self, request: Request) -> Answer:
        if "uploads" in request.query:
            name = f"{next(_NUMBERS):032x}"
            self._uploads[name] = Writer(request.path, request.kept_headers())
            tag = "InitiateMultipartUploadResult"
            return Answer(body=f"<{tag}><UploadId>{name}</UploadId></{tag}>".encode())
        name = request.query["uploadId"]
        upload = self._uploads.get(name)
        if upload is None:
            return _refused(404, "NoSuchUpload")
        if request.method == "PUT":
            part = Entry(request.body.size, request.body.data, {}, _etag())
            upload.parts[int(request.query["partNumber"])] = part
            return Answer(headers={"ETag": part.etag, **_checksums(request)})
        if request.method == "DELETE":
            del self._uploads[name]
            return Answer(204)
        return self._complete(request, name, upload)

    def _complete(self, request: Request, name: str, upload: Writer) -> Answer:
        numbers = [int(number) for number in re.findall(r"<PartNumber>(\d+)</PartNumber>", request.body.text)]
        if not numbers or any(number not in upload.parts for number in numbers):
            return _refused(400, "InvalidPart")
        parts = [upload.parts[number] for number in numbers]
        size = sum(part.size for part in parts)
        if int(request.headers.get("x-amz-mp-object-size", size)) != size:
            return _refused(400, "InvalidRequest", f"the parts have {size} bytes")
        if self._forbids(request, self._objects.get(upload.path)):
            return _refused(412, "PreconditionFailed")
        pieces = [part.data for part in parts if part.data is not None]
        data = b"".join(pieces) if len(pieces) == len(parts) else None
        entry = Entry(size, data, upload.headers, _etag(f"-{len(parts)}"))
        self._objects[upload.path] = entry
        del self._uploads[name]
        tag = "CompleteMultipartUploadResult"
        return Answer(body=f"<{tag}><ETag>{escape(entry.etag)}</ETag></{tag}>".encode())


def _checksums(request: Request) -> Headers:
    """The client's own checksums, as S3 answers them where they are right."""
    return {name: value for name, value in request.headers.items() if name.startswith(_CHECKSUM)}
