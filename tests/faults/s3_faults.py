"""A proxy before an S3 server that produces faults of networks and S3, exactly as requested.

A fault is for one call of S3's, such as UploadPart, and for the first so many of them; where bytes are chosen, a seed
chooses them. What passes through is counted.
"""

import http.client
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

ALWAYS: Final = 1_000_000
ANY: Final = "any call"
_HOP: Final = {"connection", "transfer-encoding", "content-length", "server", "expect"}


class Exchange:
    """A request on its way, and the means to answer it."""

    def __init__(self, handler: BaseHTTPRequestHandler, upstream: str, random: Random, seen: "Proxy") -> None:
        self.method = handler.command
        # Glue and Athena name their calls
        self.call = handler.headers.get("X-Amz-Target") or call_of(handler.command, handler.path)
        self.size = int(handler.headers.get("Content-Length", 0))
        self.random = random
        self._handler = handler
        self._upstream = upstream
        self._seen = seen

    @cached_property
    def body(self) -> bytes:
        """The request's body, read to its end."""
        return self._handler.rfile.read(self.size)

    def read_some(self) -> None:
        """Read a random share of the request's body."""
        self._handler.rfile.read(self.random.randrange(max(self.size, 1)))

    def forward(self, body: bytes | None = None) -> tuple[int, list[tuple[str, str]], bytes]:
        """What the real server answers, to another body where one is given."""
        headers = {name: value for name, value in self._handler.headers.items() if name.lower() not in _HOP}
        connection = http.client.HTTPConnection(self._upstream, timeout=60)
        try:
            connection.request(self.method, self._handler.path, self.body if body is None else body, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def answer(self, status: int, headers: list[tuple[str, str]], body: bytes, sent: int | None = None) -> None:
        """Answer; with no more of the body than `sent` bytes, and then the connection ends."""
        self._seen.end(self)
        handler = self._handler
        handler.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _HOP:
                handler.send_header(name, value)
        told = [value for name, value in headers if name.lower() == "content-length" and self.method == "HEAD"]
        handler.send_header("Content-Length", told[0] if told else str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[:sent])
        handler.close_connection = sent is not None

    def reset(self) -> None:
        """End the connection as a crash does."""
        self._seen.end(self)
        self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._handler.connection.close()
        self._handler.close_connection = True


Fault = Callable[[Exchange], None]


def passed_on(exchange: Exchange) -> None:
    """No fault."""
    exchange.answer(*exchange.forward())


def refused(status: int, code: str) -> Fault:
    """An answer of S3's own kind, without the server behind it."""
    text = f"<Error><Code>{code}</Code><Message>Please try again.</Message><RequestId>1</RequestId></Error>"

    def fault(exchange: Exchange) -> None:
        assert len(exchange.body) == exchange.size
        body = b"" if exchange.method == "HEAD" else text.encode()
        exchange.answer(status, [("Content-Type", "application/xml")], body)

    return fault


def reset(exchange: Exchange) -> None:
    """The connection is reset in the middle of the request; the server behind it hears nothing."""
    exchange.read_some()
    exchange.reset()


def answer_lost(exchange: Exchange) -> None:
    """The server does what it was asked for, but its answer is lost."""
    exchange.forward()
    exchange.reset()


def cut_short(exchange: Exchange) -> None:
    """A random share of the answer's body arrives, and then the connection ends in good order."""
    status, headers, body = exchange.forward()
    exchange.answer(status, headers, body, sent=exchange.random.randrange(max(len(body), 1)))


def reset_midway(exchange: Exchange) -> None:
    """A random share of the answer's body arrives, and then the connection is reset."""
    cut_short(exchange)
    exchange.reset()


def corrupted(exchange: Exchange) -> None:
    """A random bit of the request's body is another when it arrives."""
    damaged = bytearray(exchange.body)
    damaged[exchange.random.randrange(len(damaged))] ^= 1 << exchange.random.randrange(8)
    exchange.answer(*exchange.forward(bytes(damaged)))


def delayed(exchange: Exchange) -> None:
    """It takes a while, now longer and now shorter."""
    time.sleep(exchange.random.uniform(0, 0.02))
    passed_on(exchange)


def held_until(count: int) -> Fault:
    """Requests wait until there are so many at the same time; that many must come."""
    barrier = threading.Barrier(count, timeout=60)

    def fault(exchange: Exchange) -> None:
        barrier.wait()
        passed_on(exchange)

    return fault


@dataclass
class Rule:
    """A fault for the next `times` calls of a kind, once `after` of them have passed."""

    call: str
    fault: Fault
    times: int
    after: int


@dataclass
class Proxy:
    """The proxy's address, the rules that are still to be used, and what it saw."""

    endpoint: str
    rules: list[Rule] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    most_at_once: Counter[str] = field(default_factory=Counter)
    answered_bytes: Counter[str] = field(default_factory=Counter)
    _under_way: dict[Exchange, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, call: str, fault: Fault, times: int = 1, after: int = 0) -> None:
        """One more fault; of several for a call the first that is not used up counts."""
        self.rules.append(Rule(call, fault, times, after))

    def begin(self, exchange: Exchange) -> Fault:
        """Count a request in; the fault that is meant for it."""
        call = exchange.call
        with self._lock:
            self.seen[call] += 1
            self._under_way[exchange] = call
            at_once = sum(other == call for other in self._under_way.values())
            self.most_at_once[call] = max(self.most_at_once[call], at_once)
            for rule in (rule for rule in self.rules if rule.call in {call, ANY}):
                if rule.after:
                    rule.after -= 1
                elif rule.times:
                    rule.times -= 1
                    return rule.fault
        return passed_on

    def end(self, exchange: Exchange) -> None:
        """Count a request out, before its sender hears of it."""
        with self._lock:
            if self._under_way.pop(exchange, None):
                self.answered_bytes[exchange.call] += exchange.size


def call_of(method: str, path: str) -> str:
    """S3's name of a request."""
    parts = urlsplit(path)
    query = parse_qs(parts.query, keep_blank_values=True)
    if "uploads" in query:
        return "CreateMultipartUpload" if method == "POST" else "ListMultipartUploads"
    if "uploadId" in query:
        return {"PUT": "UploadPart", "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload"}[method]
    if "delete" in query:
        return "DeleteObjects"
    if "/" in parts.path.strip("/"):
        return {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"}[method]
    return {"GET": "ListObjectsV2", "HEAD": "HeadBucket"}[method]


@contextmanager
def faulty(endpoint: str, seed: int) -> Iterator[Proxy]:
    """A proxy before the server at an address, for as long as the block lasts."""
    upstream = endpoint.removeprefix("http://")
    random = Random(seed)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _pass(self) -> None:
            exchange = Exchange(self, upstream, random, proxy)
            proxy.begin(exchange)(exchange)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass  # noqa: N815 (http.server names them)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 64

        def handle_error(self, *_: Any) -> None:
            """Clients that go away are what this is for."""

    with Server(("127.0.0.1", 0), Handler) as server:
        proxy = Proxy(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()
