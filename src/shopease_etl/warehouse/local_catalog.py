"""The catalog of a local lake: one JSON file under the home folder."""

import json
import os
import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from shopease_etl.atomic import replacing
from shopease_etl.contract.layout import PRODUCED_BY, dataset_of, month_of
from shopease_etl.contract.tables import Column
from shopease_etl.errors import ConfigurationError, ShopeaseError, UnreachableError
from shopease_etl.nofollow import make_folder
from shopease_etl.warehouse.schema import CatalogTable, CatalogView
from shopease_etl.wording import room_hint

# Catalogs of lakes without months are still of version 1.
_WITH_MONTHS: Final = 2
_VERSIONS: Final = (1, _WITH_MONTHS)
_CRAWL: Final = "run `shopease crawl`"


@dataclass(frozen=True)
class LocalCatalog:
    """The tables and views of one lake, under one database name."""

    database: str
    lake: str
    tables: tuple[CatalogTable, ...]
    views: tuple[CatalogView, ...]


def catalog_path(home: Path, database: str, lake: Path) -> Path:
    """The catalog's file for a database name and a lake folder; each pair has its own."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]*", database):
        raise ConfigurationError(f"{database!r} is not a valid database name: use only letters, digits, _ and -")
    digest = sha256(os.fsencode(lake.resolve())).hexdigest()[:8]
    return home / "catalog" / f"{database}-{digest}.json"


def save(catalog: LocalCatalog, path: Path) -> None:
    """Replace the catalog at once: readers see the former file or the new one."""
    try:
        make_folder(path.parent)
        with replacing(path, 0o600) as file:
            file.write(f"{json.dumps(_as_json(catalog), indent=2, ensure_ascii=False)}\n".encode())
    except OSError as error:
        hint = room_hint(error, path.parent) or "set SHOPEASE_HOME to a folder that can be written"
        raise UnreachableError(f"the catalog {path} cannot be written: {error.strerror}", hint=hint) from error


def delete(path: Path) -> None:
    """Delete a catalog, if it exists."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        hint = f"give this user write permission on {path.parent}, or set SHOPEASE_HOME to another folder"
        raise UnreachableError(f"the catalog {path} cannot be deleted: {error.strerror}", hint=hint) from error


def load(path: Path) -> LocalCatalog:
    """Read a catalog; a missing, broken or foreign one raises ShopeaseError, with the hint to crawl."""
    try:
        return _from_json(json.loads(path.read_bytes()))
    except FileNotFoundError:
        hint = f"{_CRAWL}, or `shopease run-all` if the lake is empty"
        raise ShopeaseError("nothing is catalogued for this lake yet", hint=hint) from None
    except OSError as error:
        raise ShopeaseError(f"the catalog {path} cannot be read: {error.strerror}", hint=_CRAWL) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ShopeaseError(f"this version cannot read the catalog {path}", hint=_CRAWL) from error


def _as_json(catalog: LocalCatalog) -> dict[str, Any]:
    return {
        "schema_version": _WITH_MONTHS if any(table.months for table in catalog.tables) else 1,
        "database": catalog.database,
        "lake": catalog.lake,
        "tables": [
            {
                "name": table.name,
                "folder": table.folder,
                **({"keys": list(table.keys)} if table.months else {"key": table.keys[0]}),
                "columns": _columns_as_json(table.columns),
            }
            for table in catalog.tables
        ],
        "views": [
            {"name": view.name, "base": view.base, "columns": _columns_as_json(view.columns), "sql": view.sql}
            for view in catalog.views
        ],
    }


def _columns_as_json(columns: tuple[Column, ...]) -> list[dict[str, str]]:
    return [{"name": column.name, "type": column.type} for column in columns]


def _from_json(document: Any) -> LocalCatalog:
    if document["schema_version"] not in _VERSIONS:
        raise ValueError("another schema version")
    return LocalCatalog(
        database=_text(document["database"]),
        lake=_text(document["lake"]),
        tables=tuple(_table(entry) for entry in document["tables"]),
        views=tuple(
            CatalogView(_text(entry["name"]), _text(entry["base"]), _columns(entry), _text(entry["sql"]))
            for entry in document["views"]
        ),
    )


def _table(entry: dict[str, Any]) -> CatalogTable:
    keys = tuple(map(_text, entry["keys"])) if "keys" in entry else (_text(entry["key"]),)
    for key in keys:
        if key.partition("/")[0] not in PRODUCED_BY or ".." in key.split("/"):
            raise ValueError(f"{key} is not a key of the lake")
    if len({(dataset_of(key), month_of(key) is None) for key in keys}) != 1:
        raise ValueError("not the files of one table")
    return CatalogTable(_text(entry["name"]), keys, _columns(entry))


def _columns(entry: dict[str, Any]) -> tuple[Column, ...]:
    return tuple(Column(_text(column["name"]), _text(column["type"])) for column in entry["columns"])


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value
