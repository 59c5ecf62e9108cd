"""A proxy before a PostgreSQL server that produces network faults, exactly as requested.

It listens on 127.0.0.1 and passes bytes on to the server of a URL, which may listen on a Unix socket. A fault is for
the next connections that get so far; where bytes or seconds are chosen, a seed chooses them. What passes is counted.
"""

import select
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from psycopg.conninfo import conninfo_to_dict

ALWAYS: Final = 1_000_000
FROM_SERVER: Final = "from server"
TO_SERVER: Final = "to server"
_TICK: Final = 0.02
_MOST_BYTES: Final = 20_000  # a fault whose place the seed chooses comes before so many


class Link:
    """A connection of a client through the proxy; faults do what they like with it."""

    def __init__(self, client: socket.socket, server: socket.socket, random: Random, ended: threading.Event) -> None:
        self.client = client
        self.server = server
        self.random = random
        self.ended = ended
        self.passed = Counter[str]()
        self.is_over = False

    def send(self, way: str, data: bytes) -> None:
        """Pass bytes on."""
        (self.client if way == FROM_SERVER else self.server).sendall(data)
        self.passed[way] += len(data)

    def close(self) -> None:
        """End both connections in good order."""
        self.is_over = True
        self.client.close()
        self.server.close()

    def reset(self) -> None:
        """Break both connections off."""
        for end in (self.client, self.server):
            if end.family == socket.AF_INET:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


Fault = Callable[[Link, str, bytes], None]
"""What happens in the place of passing on the bytes, which come from one side."""


def reset(link: Link, _way: str, _data: bytes) -> None:
    """The connection is reset."""
    link.reset()


def close(link: Link, _way: str, _data: bytes) -> None:
    """The connection ends in good order."""
    link.close()


def delay(link: Link, way: str, data: bytes) -> None:
    """Nothing goes on for a while, now longer and now shorter."""
    time.sleep(link.random.uniform(0.1, 0.5))
    link.send(way, data)


def stall(link: Link, _way: str, _data: bytes) -> None:
    """Nothing is forwarded any more, and the connection stays open until the client closes it."""
    while not link.ended.is_set() and not link.is_over:
        if select.select([link.client], [], [], _TICK)[0] and not link.client.recv(65_536):
            link.close()


def truncate(link: Link, way: str, data: bytes) -> None:
    """Some bytes are lost, those after them arrive, and then the connection ends in good order."""
    link.send(way, data[link.random.randint(1, 64) :])
    link.close()


def garbage(link: Link, way: str, data: bytes) -> None:
    """Bytes arrive that were never sent, and then those that were."""
    link.send(way, link.random.randbytes(link.random.randint(1, 64)) + data)


FAULTS: Final[dict[str, Fault]] = {"reset": reset, "close": close, "truncate": truncate, "garbage": garbage}
"""Those that a connection does not survive."""


@dataclass
class Rule:
    """A fault for the next `times` connections that pass so many bytes, of all or of those with these numbers."""

    fault: Fault
    after_bytes: int
    way: str
    connections: Collection[int] | None
    times: int


@dataclass
class PgProxy:
    """The proxy's URL, the rules that are still to be used, and what it saw: connections and faults."""

    url: str
    random: Random
    rules: list[Rule] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def fail(
        self,
        fault: Fault,
        after_bytes: int | None = None,
        connections: Collection[int] | None = None,
        times: int = 1,
        way: str = FROM_SERVER,
    ) -> None:
        """One more fault; connections count from 1, and the seed chooses the byte where none is given."""
        at = self.random.randrange(_MOST_BYTES) if after_bytes is None else after_bytes
        self.rules.append(Rule(fault, at, way, connections, times))

    def refuse(self, times: int = 1) -> None:
        """Reset the next connections before anything has passed."""
        self.fail(reset, 0, times=times, way=TO_SERVER)

    def begin(self) -> int:
        """Count a connection in; its number."""
        with self._guard:
            self.seen["connections"] += 1
            return self.seen["connections"]

    def fault_before(self, number: int, way: str, passed: int) -> Rule | None:
        """The rule that is meant for a connection before it has passed so many bytes; it is used up by this."""
        with self._guard:
            for rule in self.rules:
                is_meant = rule.way == way and (rule.connections is None or number in rule.connections)
                if is_meant and rule.times and rule.after_bytes < passed:
                    rule.times -= 1
                    self.seen["faults"] += 1
                    return rule
        return None


@contextmanager
def between(url: str, seed: int) -> Iterator[PgProxy]:
    """A proxy before the server of a URL, for as long as the block lasts."""
    named = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    ended, links = threading.Event(), []
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        listener.settimeout(_TICK)
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        proxy = PgProxy(f"postgresql://{named['user']}@{address}/{named['dbname']}?sslmode=disable", Random(seed))

        def serve() -> None:
            while not ended.is_set():
                try:
                    client, _ = listener.accept()
                except TimeoutError:
                    continue
                number = proxy.begin()
                arguments = (proxy, number, client, named, Random(f"{seed}/{number}"), ended)
                links.append(threading.Thread(target=_pass, args=arguments))
                links[-1].start()

        server = threading.Thread(target=serve)
        server.start()
        try:
            yield proxy
        finally:
            ended.set()
            server.join()
            for link in links:
                link.join()


def _pass(
    proxy: PgProxy, number: int, client: socket.socket, named: dict[str, str], random: Random, ended: threading.Event
) -> None:
    try:
        server = _upstream(named)
    except OSError:
        client.close()
        return
    link = Link(client, server, random, ended)
    try:
        while not link.is_over and not ended.is_set():
            for end in select.select([link.client, link.server], [], [], _TICK)[0]:
                _move(proxy, number, link, FROM_SERVER if end is link.server else TO_SERVER)
                if link.is_over:
                    break
    except OSError:
        """A side that goes away is what this is for."""
    finally:
        link.close()


def _move(proxy: PgProxy, number: int, link: Link, way: str) -> None:
    data = (link.server if way == FROM_SERVER else link.client).recv(65_536)
    if not data:
        link.close()
        return
    rule = proxy.fault_before(number, way, link.passed[way] + len(data))
    if rule:
        at = max(0, rule.after_bytes - link.passed[way])
        link.send(way, data[:at])
        rule.fault(link, way, data[at:])
    else:
        link.send(way, data)


def _upstream(named: dict[str, str]) -> socket.socket:
    port = int(named.get("port", "5432"))
    if named["host"].startswith("/"):
        made = socket.socket(socket.AF_UNIX)
        made.connect(str(Path(named["host"]) / f".s.PGSQL.{port}"))
        return made
    return socket.create_connection((named["host"], port))
