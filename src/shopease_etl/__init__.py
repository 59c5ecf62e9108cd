"""ShopEase ETL: a PostgreSQL shop database to a three-layer data lake, catalogued and queryable.

`Pipeline.from_settings(Settings())` is what `pipeline.run.run` and its siblings take.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from shopease_etl.errors import ShopeaseError
    from shopease_etl.pipeline.wiring import Pipeline
    from shopease_etl.settings import Settings

__version__ = "0.2.0"
__all__ = ["Pipeline", "Settings", "ShopeaseError"]

_HOMES: Final = {"Pipeline": "pipeline.wiring", "Settings": "settings", "ShopeaseError": "errors"}


def __getattr__(name: str) -> Any:
    """Import what is public when it is first asked for."""
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
