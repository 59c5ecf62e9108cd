"""Modules that are slow to import, imported beside work that leaves the machine time for it."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module


def preload(modules: Sequence[str]) -> None:
    """Begin to import them in another thread; what cannot be imported is for who needs it to tell."""
    threading.Thread(target=_import, args=(modules,), name="preload", daemon=True).start()


def _import(modules: Sequence[str]) -> None:
    for module in modules:
        with suppress(Exception):
            import_module(module)
