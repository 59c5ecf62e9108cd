"""Silver and quarantine by the data contract: plain Python, nothing of the tool."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Final
from zoneinfo import ZoneInfo

from plain_values import MAX_MONEY, Record, instant, integer, money, one_line, read_csv, squeezed, trimmed, write_csv

ID, TEXT, UPPER, LOWER, PRICE, COUNT, MOMENT = "id", "text", "upper", "lower", "price", "count", "moment"
# A known column: its kind, and whether a row without it is rejected.
KNOWN: Final[Mapping[str, Mapping[str, tuple[str, bool]]]] = {
    "customers": {
        "customer_id": (ID, True),
        "customer_name": (UPPER, True),
        "email": (LOWER, True),
        **dict.fromkeys(("phone", "address", "city", "state", "zip_code"), (TEXT, False)),
        **dict.fromkeys(("created_at", "updated_at"), (MOMENT, False)),
    },
    "products": {
        "product_id": (ID, True),
        "product_name": (TEXT, True),
        "category": (UPPER, False),
        "price": (PRICE, True),
        "description": (TEXT, False),
        **dict.fromkeys(("created_at", "updated_at"), (MOMENT, False)),
    },
    "transactions": {
        "transaction_id": (ID, True),
        **dict.fromkeys(("store_id", "customer_id", "product_id"), (ID, False)),
        "quantity": (COUNT, True),
        "unit_price": (PRICE, True),
        **dict.fromkeys(("payment_method", "sales_channel"), (TEXT, False)),
        "created_at": (MOMENT, True),
        "updated_at": (MOMENT, False),
    },
}
CALCULATED: Final = ("total_amount", "transaction_date", "year", "month", "day")
ORDER: Final = (
    *("transaction_id", "store_id", "customer_id", "product_id", "quantity", "unit_price", "total_amount"),
    *("payment_method", "sales_channel", "transaction_date", "year", "month", "day", "created_at", "updated_at"),
)


@dataclass(frozen=True)
class Row:
    """A row of bronze: its record, and its cells by the names of silver."""

    record: Record
    source: Mapping[str, str | None]
    silver: Mapping[str, str | None]


@dataclass(frozen=True)
class Cleaned:
    """A cleaned table: both files, silver's rows by column, and how many rows broke each rule."""

    silver: bytes
    quarantine: bytes
    rows: Sequence[Mapping[str, str | None]]
    rejected: Mapping[str, int]


def clean(table: str, bronze: bytes, zone: ZoneInfo, run_id: str) -> Cleaned:
    """Clean a table of bronze."""
    header, *records = read_csv(bronze)
    names = _renamed(table, [name or "" for name in header])
    columns = _silver_columns(table, names)
    rows = [_standardised(table, names, record, zone) for record in records]
    rules = _with_duplicates(table, rows, [_first_broken(table, row, zone) for row in rows], zone)
    kept = [row.silver for row, rule in zip(rows, rules, strict=True) if rule is None]
    rejected = [(*row.record, rule, run_id) for row, rule in zip(rows, rules, strict=True) if rule is not None]
    return Cleaned(
        silver=write_csv([columns, *([row[name] for name in columns] for row in kept)]),
        quarantine=write_csv([(*names, "rejected_rule", "run_id"), *rejected]),
        rows=kept,
        rejected=Counter(rule for rule in rules if rule),
    )


def total_amount(row: Mapping[str, str | None]) -> Decimal | None:
    """Quantity × unit_price of a sale, exact."""
    quantity, price = integer(row["quantity"]), money(row["unit_price"])
    if quantity is None or price is None:
        return None
    with localcontext(prec=50):
        return quantity * price


def _renamed(table: str, names: Sequence[str]) -> list[str]:
    """The source's names as silver and quarantine have them; where the source has `source_NAME`, too, once more so."""
    known = KNOWN[table]
    ours = {*known, *(CALCULATED if table == "transactions" else ()), "rejected_rule", "run_id"}
    taken = {name for name in names if name in known or name.lower() not in ours}
    renamed = list[str]()
    for name in names:
        other = name if name in taken else f"source_{name}"
        while name not in taken and other in {*taken, *renamed}:
            other = f"source_{other}"
        renamed.append(other)
    return renamed


def _silver_columns(table: str, names: Sequence[str]) -> list[str]:
    if table != "transactions":
        return list(names)
    return [name for name in ORDER if name in names or name in CALCULATED] + [
        name for name in names if name not in KNOWN[table]
    ]


def _standardised(table: str, names: Sequence[str], record: Record, zone: ZoneInfo) -> Row:
    source = dict(zip(names, record, strict=True))
    known = KNOWN[table]
    silver = {name: _standard(known[name][0] if name in known else "", value, zone) for name, value in source.items()}
    if table == "transactions":
        silver |= dict.fromkeys(CALCULATED)
        total, day = total_amount(source), silver["created_at"]
        if total is not None and day is not None:
            year, month, number = day[:10].split("-")
            parts = (str(int(part)) for part in (year, month, number))
            silver |= dict(zip(CALCULATED, (f"{total:.2f}", day[:10], *parts), strict=True))
    return Row(record, source, silver)


def _standard(kind: str, value: str | None, zone: ZoneInfo) -> str | None:
    if kind in (ID, COUNT):
        number = integer(value)
        return None if number is None else str(number)
    if kind == PRICE:
        price = money(value)
        return None if price is None else f"{price:.2f}"
    if kind == MOMENT:
        return None if instant(value, zone) is None else trimmed(value)
    if not kind:
        return one_line(value)
    text = squeezed(value)
    mapped = {UPPER: str.upper, LOWER: str.lower}.get(kind, str)
    return text and mapped(text)


def _first_broken(table: str, row: Row, zone: ZoneInfo) -> str | None:
    return next(_broken(table, row, zone), None)


def _broken(table: str, row: Row, zone: ZoneInfo) -> Iterator[str]:
    """The rules that the row breaks by itself, in their order."""
    parsers: Mapping[str, Callable[[str | None], object]] = {
        ID: integer,
        COUNT: integer,
        PRICE: money,
        MOMENT: lambda value: instant(value, zone),
    }
    for name, (kind, is_needed) in KNOWN[table].items():
        if not is_needed:
            continue
        value = trimmed(row.source[name])
        parsed = parsers.get(kind, trimmed)(value)
        if value is None:
            yield f"missing_{name}"
        elif parsed is None:
            yield f"invalid_{name}"
        elif kind in (COUNT, PRICE) and isinstance(parsed, int | Decimal) and parsed <= 0:
            yield f"nonpositive_{name}"
    if table == "transactions":
        total = total_amount(row.source)
        if total is not None and abs(total) > MAX_MONEY:
            yield "invalid_total_amount"


def _with_duplicates(
    table: str, rows: Sequence[Row], rules: Sequence[str | None], zone: ZoneInfo
) -> Sequence[str | None]:
    """The rules with those of rows that break no other and share their key with a greater row."""
    key = next(iter(KNOWN[table]))
    best: dict[str | None, tuple[tuple[object, ...], int]] = {}
    for number, (row, rule) in enumerate(zip(rows, rules, strict=True)):
        rank = _rank(row, zone)
        if rule is None and (row.silver[key] not in best or rank > best[row.silver[key]][0]):
            best[row.silver[key]] = (rank, number)
    stays = {number for _, number in best.values()}
    return [rule or (None if number in stays else f"duplicate_{key}") for number, rule in enumerate(rules)]


def _rank(row: Row, zone: ZoneInfo) -> tuple[object, ...]:
    moments = [instant(row.source.get(name), zone) for name in ("updated_at", "created_at")]
    record = tuple((value is not None, (value or "").encode()) for value in row.record)
    return *((moment is not None, moment or 0) for moment in moments), record
