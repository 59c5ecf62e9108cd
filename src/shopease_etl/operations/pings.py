"""Pings for a dead man's switch in the style of healthchecks.io: the service notices a run that never came."""

import logging
import threading
import time
import urllib.request
from http.client import HTTPException
from typing import Final
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

from shopease_etl.pipeline.events import Event, described
from shopease_etl.redaction import Secrets

log = logging.getLogger(__name__)

ANSWER_SECONDS: Final = 5.0
PAUSES: Final = (0.5, 1.0)
PATIENCE_SECONDS: Final = 15.0
MOST_BYTES: Final = 10_000


class Pings:
    """Pings `/start` when a command begins, then the address itself, or `/fail` with the reason; `rid` links them.

    A retry pings no start: whether there is anything to retry is not known yet.
    """

    def __init__(self, address: str, secrets: Secrets) -> None:
        self._address = urlsplit(address)
        self._secrets = secrets

    def check(self) -> None:
        """Does nothing."""

    def __call__(self, event: Event) -> None:
        """Ping a command's start, without waiting, and its end, waiting a few seconds at most."""
        if event.kind == "command_started":
            self._id = str(uuid4())
            self._threads: list[threading.Thread] = []
            if event.stages:
                self._begin("/start", None)
        elif event.kind == "command_ended":
            failure = event.failure
            self._begin("/fail" if failure else "", self._secrets.redacted(described(failure)) if failure else None)
            until = time.monotonic() + PATIENCE_SECONDS
            for thread in self._threads:
                thread.join(max(0.0, until - time.monotonic()))

    def _begin(self, suffix: str, text: str | None) -> None:
        former = self._threads[-1] if self._threads else None
        thread = threading.Thread(target=self._send, args=(suffix, text, former), name="ping", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _send(self, suffix: str, text: str | None, former: threading.Thread | None) -> None:
        if former:
            former.join()  # or the end could arrive before the start
        query = "&".join(part for part in (self._address.query, urlencode({"rid": self._id})) if part)
        address = self._address._replace(path=self._address.path.rstrip("/") + suffix, query=query).geturl()
        body = text.encode()[:MOST_BYTES] if text else None
        reason = ""
        for pause in (*PAUSES, 0.0):
            try:
                with urllib.request.urlopen(address, body, timeout=ANSWER_SECONDS):  # noqa: S310 - settings allow only HTTP
                    return
            except (OSError, HTTPException, ValueError) as error:
                reason = str(getattr(error, "reason", "")) or type(error).__name__
                time.sleep(pause)
        # the address itself is a secret
        log.error("cannot ping %s: %s", self._address.hostname, reason)
