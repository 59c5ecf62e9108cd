"""A lake whose sales are kept by month, read without the code under test: its files, rows, and what manifests tell."""

import csv
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

NONE: Final = "none"
FILES: Final = {
    "bronze": "sale_transactions.csv",
    "silver": "transactions_cleaned.csv",
    "quarantine": "transactions_rejected.csv",
}
LAYERS: Final = ("bronze", "silver", "quarantine", "gold")
_RECORD: Final = re.compile(rb'(?:[^"\n]|"[^"]*")*+\n')
_DATE: Final = re.compile(r"([0-9]{4}-[0-9]{2})-[0-9]{2}(?:[ T][0-9:.+-]+)?")
_IN_MONTH: Final = re.compile(r"([^/]+/transactions)/sale_month=([^/]+)/([^/]+)")


@dataclass(frozen=True)
class Lake:
    """The objects of layers and of the state by key, the manifests by run id, and the names of what is neither."""

    objects: Mapping[str, bytes] = field(repr=False)
    manifests: Mapping[str, dict[str, Any]] = field(repr=False)
    others: Collection[str] = ()

    @property
    def datasets(self) -> dict[str, bytes]:
        """The objects without what is derived from them."""
        return {key: data for key, data in self.objects.items() if not key.startswith("_state/")}

    @classmethod
    def at(cls, folder: Path) -> "Lake":
        """The lake in a folder."""
        paths = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
        return cls.of({key: path.read_bytes() for key, path in paths.items() if not key.startswith("_generations/")})

    @classmethod
    def of(cls, files: Mapping[str, bytes]) -> "Lake":
        """The lake that has these files."""
        own = [key for key in files if key.startswith((*LAYERS, "_state/")) and "/." not in key]
        objects = {key: files[key] for key in own}
        runs = {key: data for key, data in files.items() if key.startswith("_runs/") and key.endswith(".json")}
        others = files.keys() - objects.keys() - runs.keys()
        return cls(objects, {Path(key).stem: json.loads(data) for key, data in runs.items()}, others)

    def sales(self, layer: str) -> dict[str | None, bytes]:
        """The files of sales by month; that of a lake that has one has None."""
        found: dict[str | None, bytes] = {}
        for key, data in self.objects.items():
            if key.startswith(f"{layer}/transactions/"):
                in_month = _IN_MONTH.fullmatch(key)
                month = in_month[2] if in_month else None
                assert key.rpartition("/")[2] == FILES[layer]
                assert in_month or key == f"{layer}/transactions/{FILES[layer]}"
                found[month] = data
        return found

    def published(self) -> Iterator[dict[str, Any]]:
        """The manifests of runs whose objects are or were there, the last first."""
        return (run for _, run in sorted(self.manifests.items(), reverse=True) if run.get("published", True))

    def files(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """By key each file that should be there, with its entry and the run that has it: of each dataset the last."""
        found: dict[str, dict[str, tuple[str, dict[str, Any]]]] = {}
        for run in self.published():
            own: dict[str, dict[str, tuple[str, dict[str, Any]]]] = {}
            for entry in (entry for stage in run["stages"] for entry in stage["datasets"]):
                own.setdefault(dataset_of(entry["key"]), {})[entry["key"]] = (run["run_id"], entry)
            found = {**own, **found}
        return {key: entry for dataset in found.values() for key, entry in dataset.items()}


def dataset_of(key: str) -> str:
    """The folder of a dataset."""
    return "/".join(key.split("/")[:2])


def records(data: bytes) -> list[bytes]:
    """The records of a CSV file as they stand there, the header first."""
    return _RECORD.findall(data)


def month_of(moment: str | None) -> str:
    """The month of a time as PostgreSQL writes it."""
    found = _DATE.fullmatch(moment or "")
    return found[1] if found else NONE


def by_month(data: bytes, column: str = "created_at") -> dict[str | None, bytes]:
    """The files of a CSV file's months; without rows one with a header only."""
    header, *rows = records(data)
    place = _cells(header).index(column)
    files: dict[str | None, bytes] = {}
    for row in rows:
        month = month_of(_cells(row)[place])
        files[month] = files.get(month, header) + row
    return files or {NONE: header}


def whole(files: Mapping[str | None, bytes]) -> bytes:
    """The files one after the other, with one header."""
    parts = [records(files[month]) for month in sorted(files, key=str)]
    assert len({part[0] for part in parts}) == 1
    return b"".join([parts[0][0], *(row for part in parts for row in part[1:])])


def without_ids(data: bytes) -> bytes:
    """A file of quarantine without its last column, the run's id."""
    return b"".join(row.rpartition(b",")[0] + b"\n" for row in records(data))


def same_rows(found: bytes, expected: bytes) -> bool:
    """Whether two files have the same rows, in any order."""
    (header, *rows), (other, *others) = records(found), records(expected)
    return header == other and Counter(rows) == Counter(others)


def rows_of(parquet: bytes) -> list[tuple[Any, ...]]:
    """The rows of gold in order."""
    columns = pq.read_table(io.BytesIO(parquet)).columns
    return list(zip(*(column.to_pylist() for column in columns), strict=True))


def require_same(found: Lake, expected: Lake) -> None:
    """Two lakes have the same rows: of the same layout the same files, and gold in the same order."""
    for key in {key for key in (*found.objects, *expected.objects) if key.startswith("gold/")}:
        assert rows_of(found.objects[key]) == rows_of(expected.objects[key]), key
    for layer in FILES:
        ours, theirs = found.sales(layer), expected.sales(layer)
        if layer == "quarantine":
            ours, theirs = ({month: without_ids(data) for month, data in each.items()} for each in (ours, theirs))
        if (None in ours) == (None in theirs):
            assert ours.keys() == theirs.keys(), layer
            assert [month for month in ours if not same_rows(ours[month], theirs[month])] == [], layer
        else:
            assert same_rows(whole(ours), whole(theirs)), layer


def require_true_manifests(lake: Lake) -> None:
    """The files are exactly those in the manifests, byte for byte; rows add up; each names the run that wrote it."""
    recorded = lake.files()
    there = lake.datasets
    assert set(lake.others) <= {"_runs/.lock"}
    assert there.keys() == recorded.keys()
    for key, (run_id, entry) in recorded.items():
        data = there[key]
        assert (entry["bytes"], entry["sha256"]) == (len(data), hashlib.sha256(data).hexdigest()), key
        _require_true_run(lake, key, run_id, entry)
        if key.endswith(".csv"):
            assert entry["rows_out"] == len(records(data)) - 1, key
        rejected = sum(entry["rejected"].values())
        assert rejected == entry["rows_in"] - entry["rows_out"] or key.startswith("gold/"), key
        if key.startswith("silver/transactions/"):
            other = [key.replace("silver/", f"{layer}/").replace(FILES["silver"], FILES[layer]) for layer in FILES]
            rows = [recorded[each][1]["rows_out"] for each in (other[0], other[2])]
            assert [entry["rows_in"], rejected] == rows, key


def _require_true_run(lake: Lake, key: str, run_id: str, entry: Mapping[str, Any]) -> None:
    """A file that is carried over has the id of the run that wrote it, in quarantine also in each row."""
    writer = entry.get("run_id") or run_id
    if writer != run_id and writer in lake.manifests:
        entries = [
            each for stage in lake.manifests[writer]["stages"] for each in stage["datasets"] if each["key"] == key
        ]
        assert [(each.get("run_id"), each["sha256"]) for each in entries] == [(None, entry["sha256"])], key
    if key.startswith("quarantine/"):
        ids = {row.rpartition(b",")[2].strip(b'"\n').decode() for row in records(lake.objects[key])[1:]}
        assert ids <= {writer}, key


def _cells(record: bytes) -> list[str]:
    return next(csv.reader(io.StringIO(record.decode(), newline="")))
