"""Modules that are slow to import, imported beside work that leaves the machine time for it."""

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Final

_LATE: Final[Mapping[str, Sequence[str]]] = {"aggregate": ("stages.aggregate",), "crawl": ("stages.crawl",)}
_LATE_IN_A_FOLDER: Final[Mapping[str, Sequence[str]]] = {"crawl": ("warehouse.duckdb",)}


def preload(stages: Sequence[str], *, is_local: bool) -> None:
    """Begin to import, in another thread, what later stages import, in their order.

    Beside the extract this wins nothing: both want the interpreter.
    What cannot be imported is for the stage that needs it to tell.
    """
    late = [_LATE, _LATE_IN_A_FOLDER] if is_local else [_LATE]
    modules = [module for stage in stages for names in late for module in names.get(stage, ())]
    threading.Thread(target=_import, args=(modules,), name="preload", daemon=True).start()


def _import(modules: Sequence[str]) -> None:
    for module in modules:
        with suppress(Exception):
            import_module(f"shopease_etl.{module}")
