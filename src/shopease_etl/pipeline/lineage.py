"""Lineage: a listener that sends the events of runs to an OpenLineage receiver; it never fails or delays a run."""

import logging
import os
import queue
import threading
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

from shopease_etl import extras
from shopease_etl.errors import ConfigurationError
from shopease_etl.lake.store import Store
from shopease_etl.pipeline.events import Event
from shopease_etl.redaction import Secrets
from shopease_etl.wording import one_line

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent
    from openlineage.client.transport import Transport
    from requests import Session

    from shopease_etl.pipeline.lineage_events import Translation
    from shopease_etl.source.session import Source

log = logging.getLogger(__name__)

DEFAULT_PATH: Final = "/api/v1/lineage"
KEY_VARIABLE: Final = "OPENLINEAGE_API_KEY"
ANSWER_SECONDS: Final = 5.0
END_SECONDS: Final = 5.0


class Lineage:
    """Sends the events of runs to `target`, a file or an address."""

    def __init__(self, target: str, lake: Store, source: "Source", secrets: Secrets) -> None:
        self._target = target
        self._lake = lake
        self._source = source
        self._secrets = secrets
        self._translation: Translation | None = None

    def check(self) -> None:
        """Raise what would prevent sending, as far as that is known before a run."""
        check_target(self._target)

    def __call__(self, event: Event) -> None:
        """Send what a run does."""
        if event.plan:
            from shopease_etl.pipeline.lineage_events import Translation  # slow to import

            self._translation = Translation(event.plan, self._lake, self._source, self._secrets)
            self._sender = _Sender(_transport(self._target), self._target)
        if self._translation is None or event.command:
            return
        for translated in self._translation.of(event):
            self._sender.send(translated)
        if event.run:
            self._sender.finish()


def check_target(target: str) -> None:
    """Check that events can be sent to the target, without sending one.

    Raises:
        ConfigurationError: it is neither a file nor an address, or the library is not installed.
    """
    extras.require("lineage", "SHOPEASE_LINEAGE")
    _transport(target)


def _transport(target: str) -> "Transport":
    """The library's own transport; its client is not used, as files and variables of its own could redirect it."""
    from openlineage.client.transport.file import FileConfig, FileTransport

    if "://" not in target:
        return FileTransport(FileConfig(target, append=True))
    from openlineage.client.transport.http import ApiKeyTokenProvider, HttpConfig, HttpTransport, TokenProvider

    address = _address(target)
    key = os.environ.get(KEY_VARIABLE, "").strip()
    return HttpTransport(
        HttpConfig(
            url=f"{address.scheme}://{address.netloc}",
            endpoint=address._replace(scheme="", netloc="", path=address.path.rstrip("/") or DEFAULT_PATH).geturl(),
            timeout=ANSWER_SECONDS,
            auth=ApiKeyTokenProvider({"api_key": key}) if key else TokenProvider({}),
            session=_session(),
            retry={"total": 0},
        )
    )


def _address(target: str) -> SplitResult:
    wrong = "SHOPEASE_LINEAGE is not valid: "
    hint = "write a file's path, or http(s)://HOST:PORT; a key goes into " + KEY_VARIABLE
    try:
        address = urlsplit(target)
        is_address = address.scheme in {"http", "https"} and bool(address.hostname) and address.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        raise ConfigurationError(f"{wrong}it is neither a file nor an http(s):// address", hint=hint)
    if "@" in address.netloc:
        raise ConfigurationError(f"{wrong}an address has no user and no password", hint=hint)
    return address


def _session() -> "Session":
    """A session without redirects, and without passwords from .netrc in place of the key."""
    import requests

    session = requests.Session()
    session.max_redirects = 0
    session.auth = lambda request: request
    return session


class _Sender:
    """Sends in a thread of its own; after the first failure it sends no more."""

    def __init__(self, transport: "Transport", target: str) -> None:
        self._transport = transport
        self._target = target
        self._waiting: queue.SimpleQueue[RunEvent | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="lineage", daemon=True)

    def send(self, event: "RunEvent") -> None:
        """Take the event, and return at once."""
        if self._thread.ident is None:
            self._thread.start()
        self._waiting.put(event)

    def finish(self) -> None:
        """Wait a few seconds for what is not sent yet."""
        self._waiting.put(None)
        self._thread.join(END_SECONDS)
        if self._thread.is_alive():
            log.warning("%s did not accept all lineage events of this run in time", self._target)

    def _work(self) -> None:
        try:
            for event in iter(self._waiting.get, None):
                self._transport.emit(event)
        except Exception as error:  # noqa: BLE001 - whatever a receiver does, it is not the run's failure
            log.error("%s rejected lineage events, no more are sent in this run: %s", self._target, one_line(error))
        finally:
            self._transport.close()
