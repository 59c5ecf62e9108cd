"""Where each setting comes from that was given."""

import os
from collections.abc import Collection, Iterator
from typing import Any, Final

from pydantic import SecretStr

from shopease_etl.redaction import HIDDEN, Secrets
from shopease_etl.report import CheckLine
from shopease_etl.settings import DOTENV, PREFIX, Settings, dotenv_variables

# Every part of these addresses may be a secret: the tokens of chats, the ids of pings.
_SECRET: Final = ("alerts", "ping_url")


def given_settings(settings: Settings, flags: Collection[str]) -> Iterator[CheckLine]:
    """A line for each setting that a flag, the environment or `.env` gives, and what it is over; no secrets."""
    secrets = Secrets()
    secrets.learn(settings.database_url.get_secret_value())
    environment = {name.upper() for name in os.environ}
    dotenv = {name.upper() for name in dotenv_variables()}
    count = 0
    for name in type(settings).model_fields:
        variable = PREFIX + name.upper()
        origins = [f"--{name.replace('_', '-')}"] if name in flags else []
        origins += [f"{variable} in the environment"] if variable in environment else []
        origins += [f"{variable} in {DOTENV}"] if variable in dotenv else []
        if origins:
            count += 1
            over = f", over {' and '.join(origins[1:])}" if origins[1:] else ""
            value = HIDDEN if name in _SECRET else secrets.redacted(_told(getattr(settings, name)))
            yield CheckLine(f"setting {name}", f"{value} (from {origins[0]}{over})")
    if not count:
        yield CheckLine("settings", "none is given: all are the defaults")


def _told(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if value is None:
        return "unset"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
