"""Sends alerts through apprise, which supports mail, Slack, SNS and a hundred more; only this module imports it."""

import logging
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from shopease_etl.errors import ConfigurationError, UnreachableError
from shopease_etl.redaction import HIDDEN
from shopease_etl.wording import one_line

if TYPE_CHECKING:
    from apprise import NotifyBase
    from pydantic import SecretStr

log = logging.getLogger(__name__)

PATIENCE_SECONDS: Final = 30.0
_WORDS: Final = re.compile(r"[^/:@?&=,\s]{4,}")
HINT: Final = "https://appriseit.com/services/ lists how each service is written"


@dataclass(frozen=True)
class Alert:
    """A message: a title, and a text of several lines; services that take files get the attachment, too."""

    title: str
    text: str
    is_failure: bool
    attachment: Path | None = None


def send(addresses: Sequence["SecretStr"], alert: Alert) -> bool:
    """Send the alert to every address, all at the same time; True if at least one has accepted it.

    Each that has not is logged as an error, so also with `--quiet`, without its address, which may hold secrets.
    """
    try:
        named = services(addresses)
    except ConfigurationError as error:
        log.error("could not send alerts: %s; %s", error, error.hint)
        return False
    sendings = _sent(named, alert)
    for sending in sendings:
        if sending.reason:
            log.error("could not send an alert by %s: %s", sending.name, sending.reason)
    return any(not sending.reason for sending in sendings)


def send_test(addresses: Sequence["SecretStr"], place: str) -> None:
    """Send a test to every address.

    Raises:
        ConfigurationError: an address is not understood.
        UnreachableError: one did not accept it.
    """
    named = services(addresses)
    alert = Alert(f"shopease: a test: {place}", "This is how an alert of shopease arrives.", is_failure=False)
    if failed := [f"{sending.name}: {sending.reason}" for sending in _sent(named, alert) if sending.reason]:
        message = f"the test was not accepted by {'; '.join(failed)}"
        raise UnreachableError(message, hint="correct SHOPEASE_ALERTS, then `shopease check --test-alert`")


def services(addresses: Sequence["SecretStr"]) -> list["NotifyBase"]:
    """What apprise makes of the addresses.

    Raises:
        ConfigurationError: apprise is not installed, or does not understand one; it is named by its place.
    """
    try:
        import apprise
    except ModuleNotFoundError as missing:
        raise ConfigurationError("alerts need apprise", hint="pip install 'shopease[alerts]'") from missing
    apprise.logger.propagate = False  # what it logs may have addresses in it, which are secrets
    if _SAID not in apprise.logger.handlers:
        apprise.logger.addHandler(_SAID)
    found = [apprise.Apprise.instantiate(address.get_secret_value(), suppress_exceptions=True) for address in addresses]
    unknown = [str(place) for place, service in enumerate(found, 1) if service is None]
    if unknown:
        scheme = addresses[int(unknown[0]) - 1].get_secret_value().partition("://")[0]
        message = f"address {', '.join(unknown)} of SHOPEASE_ALERTS is not understood ({scheme}://...)"
        raise ConfigurationError(message, hint=HINT)
    return [service for service in found if service is not None]


def _sent(services: Sequence["NotifyBase"], alert: Alert) -> list["_Sending"]:
    """The alert to every service, all at the same time and within one time."""
    sendings = [_Sending(service, alert, is_alone=len(services) == 1) for service in services]
    until = time.monotonic() + PATIENCE_SECONDS
    for sending in sendings:
        sending.thread.join(max(0.0, until - time.monotonic()))
    return sendings


class _Said(logging.Handler):
    """What apprise said last."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it in one line."""
        self.last = one_line(record.getMessage())


_SAID: Final = _Said()


class _Sending:
    """One alert to one service; `reason` says why it was not sent."""

    def __init__(self, service: "NotifyBase", alert: Alert, *, is_alone: bool) -> None:
        self.name = str(service.service_name)
        self.reason = f"no answer in {PATIENCE_SECONDS:g} s"
        self._service = service
        self._alert = alert
        self._is_alone = is_alone  # among several it is not known whose words apprise's are
        self.thread = threading.Thread(target=self._send, name="alert", daemon=True)
        self.thread.start()

    def _send(self) -> None:
        file = self._alert.attachment if self._service.attachment_support else None
        try:
            # better without the file than not at all
            taken = self._is_taken(file) or (file is not None and self._is_taken(None))
        except Exception as error:  # noqa: BLE001 - whatever a service does, it is not the run's failure
            self.reason = type(error).__name__
        else:
            self.reason = "" if taken else self._said()

    def _is_taken(self, attachment: Path | None) -> bool:
        from apprise import Apprise, NotifyFormat, NotifyType

        return bool(
            Apprise(self._service).notify(
                body=self._alert.text,
                title=self._alert.title,
                notify_type=NotifyType.FAILURE if self._alert.is_failure else NotifyType.SUCCESS,
                body_format=NotifyFormat.TEXT,
                attach=str(attachment) if attachment else None,
            )
        )

    def _said(self) -> str:
        """Why the service did not accept it, without parts of its address, which may be secrets."""
        said = (_SAID.last if self._is_alone else "") or "it did not accept the message"
        address: str = self._service.url(privacy=False)  # type: ignore[no-untyped-call]
        for word in sorted(_WORDS.findall(unquote(address)), key=len, reverse=True):
            said = said.replace(word, HIDDEN)
        return said
