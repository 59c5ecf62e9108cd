"""An S3 server for measuring: it takes what it is sent as fast as a socket gives it, and forgets large bodies.

Real S3 is never the limit of one client on one machine, and emulators are: they store, hash and parse. This one keeps
names, sizes and small bodies, which is what a client asks for again, and reads the rest into one buffer over and over.
With `--keep` it keeps all bytes, which shows that what arrives is right. It checks no signatures and no checksums.
"""

import io
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.utils import formatdate
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote

from benchmarks.s3_bodies import request_body
from benchmarks.s3_objects import Answer, Headers, Objects, Request

_BUFFER: Final = 256 * 1024


def _serve(connection: socket.socket, objects: Objects, keep: bool) -> None:
    """Answer one connection's requests until it ends."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with suppress(ConnectionError), connection, connection.makefile("rb", 0) as raw:
        stream: io.BufferedReader = io.BufferedReader(raw, _BUFFER)
        while line := stream.readline().split():
            method, target = line[0].decode(), line[1].decode()
            headers = _headers(stream)
            if headers.get("expect") == "100-continue":
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            path, _, query = target.partition("?")
            named = dict(parse_qsl(query, keep_blank_values=True))
            body = request_body(stream, headers, keep)
            answer = objects.answer(Request(method, unquote(path).rstrip("/"), named, headers, body))
            connection.sendall(_message(answer, has_body=method != "HEAD"))
            if headers.get("connection") == "close":
                return


def _headers(stream: io.BufferedReader) -> Headers:
    lines = iter(lambda: stream.readline().decode("latin-1").strip(), "")
    pairs = (line.partition(":") for line in lines)
    return {name.lower(): value.strip() for name, _, value in pairs}


def _message(answer: Answer, *, has_body: bool) -> bytes:
    length = answer.length if answer.length is not None else len(answer.body)
    told = {
        "Date": formatdate(usegmt=True),
        "Server": "sink",
        "x-amz-request-id": "0",
        "Content-Length": str(length),
        **({"Content-Type": "application/xml"} if answer.body.startswith(b"<") else {}),
        **answer.headers,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    head = f"HTTP/1.1 {answer.status} -\r\n{lines}\r\n".encode("latin-1")
    return head + answer.body if has_body else head


@contextmanager
def running_sink(*options: str) -> Iterator[str]:
    """The address of a sink in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.s3_sink", *options]
    root = Path(__file__).parent.parent
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=root) as process:
        try:
            yield process.stdout.readline().strip() if process.stdout else ""
        finally:
            process.terminate()


def _end_with_stdin() -> None:
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    """Tell the address on stdout, and serve until stdin ends, as it does with whoever started this."""
    keep = "--keep" in sys.argv
    objects = Objects()
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
        print(f"http://127.0.0.1:{server.getsockname()[1]}", flush=True)
        while True:
            connection, _ = server.accept()
            threading.Thread(target=_serve, args=(connection, objects, keep), daemon=True).start()


if __name__ == "__main__":
    main()
