"""What every command gets: the settings and the console."""

import logging
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from shopease_etl.cli.console import Console
from shopease_etl.cli.options import TEXT, GlobalOptions, flag_or_env

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from shopease_etl.pipeline.wiring import Pipeline
    from shopease_etl.settings import Settings

log = logging.getLogger(__name__)


class CommandContext:
    """The console of one command, its settings and their pipeline, each created at first use."""

    def __init__(self, options: GlobalOptions) -> None:
        self._options = options
        self._own: dict[str, str | None] = {}
        self.attachment: Callable[[], Path | None] | None = None
        self.console = Console(
            json=options.json,
            quiet=options.quiet,
            verbose=options.verbose,
            debug=options.debug,
            log_format=flag_or_env(options.log_format, "LOG_FORMAT") or TEXT,
        )

    @cached_property
    def settings(self) -> "Settings":
        """The settings; flags override the environment."""
        from shopease_etl.settings import load

        chosen = ("lake", "database_url", "home", "log_format", "log_file")
        return load(**{name: getattr(self._options, name) for name in chosen}, **self._own)

    def use(self, **flags: str | None) -> None:
        """Take settings from options of the command; None was not given."""
        self._own |= flags
        self.__dict__.pop("settings", None)  # `check_settings` has read them without these

    @cached_property
    def pipeline(self) -> "Pipeline":
        """The pipeline of the settings; its listeners include the pings and alerts that are set."""
        from shopease_etl.pipeline.wiring import Pipeline

        shop = Pipeline.from_settings(self.settings, self.console.progress, self.console.secrets)
        listeners = list(shop.listeners)
        if self.settings.ping_url:
            from shopease_etl.operations.pings import Pings

            listeners.append(Pings(self.settings.ping_url.get_secret_value(), shop.secrets))
        if self.settings.alerts:
            from shopease_etl.operations.alerts import Alerts

            alerts = Alerts(self.settings.alerts, shop.lake, shop.home, shop.secrets, self.attachment)
            listeners.append(alerts)
        return replace(shop, listeners=tuple(listeners))

    @property
    def flags(self) -> "Collection[str]":
        """The names of the settings that were given as flags."""
        return [name for name in type(self.settings).model_fields if getattr(self._options, name, None) is not None]

    def check_settings(self) -> None:
        """Read the settings: every command refuses wrong ones, even commands that do not need them.

        Errors in settings are logged as a flag or the environment says; `.env` is read too late for that.
        """
        options, console = self._options, self.console
        console.secrets.learn(flag_or_env(options.database_url, "DATABASE_URL"))
        file = flag_or_env(options.log_file, "LOG_FILE")
        console.log_to(flag_or_env(options.log_format, "LOG_FORMAT") or TEXT, Path(file) if file else None)
        for address in (self.settings.database_url, *self.settings.alerts):
            console.secrets.learn(address.get_secret_value())
        console.log_to(self.settings.log_format, self.settings.log_file)
        log.debug("settings: lake %s, home %s", self.settings.lake, self.settings.home)
