"""A lake whose transactions are kept by month, made from one where they are not."""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterator

from shopease_etl.contract.layout import NO_MONTH
from shopease_etl.contract.tables import TRANSACTIONS
from shopease_etl.lake.store import LakeStore, put_stream


def split_by_month(store: LakeStore) -> tuple[str, ...]:
    """Replace each of the transactions' files by one for each month of `created_at`; returns the months."""
    months: set[str] = set()
    for whole in TRANSACTIONS.keys:
        if store.find(whole) is None:
            continue
        header, *records = _records(store.read(whole).decode())
        place = _fields(header).index("created_at")
        parts: dict[str, list[str]] = defaultdict(list)
        for record in records:
            found = re.match(r"[0-9]{4}-[0-9]{2}(?=-)", _fields(record)[place])
            parts[found[0] if found else NO_MONTH].append(record)
        for month, rows in parts.items():
            put_month(store, whole, month, header + "".join(rows))
        store.delete([whole])
        months |= parts.keys()
    return tuple(sorted(months))


def put_month(store: LakeStore, whole: str, month: str, text: str) -> None:
    """Write the file of a month, given the key of the transactions' file in the other layout."""
    key = dict(zip(TRANSACTIONS.keys, TRANSACTIONS.in_month(month).keys, strict=True))[whole]
    put_stream(store, key, [text.encode()])


def _records(text: str) -> Iterator[str]:
    record = ""
    for line in text.splitlines(keepends=True):
        record += line
        if record.count('"') % 2 == 0:
            yield record
            record = ""


def _fields(record: str) -> list[str]:
    return next(csv.reader(io.StringIO(record, newline="")))
