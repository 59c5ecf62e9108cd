"""What is kept of a month's rows besides the rows: their keys, and the sums that gold needs."""

import hashlib
import json
import zipfile
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Final

import polars as pl

from shopease_etl.contract.gold import GoldDataset
from shopease_etl.contract.gold.dataset import Frames, sums_of
from shopease_etl.transform.rules import KEY

KEYS: Final = "keys.parquet"
SUMS: Final = "sums.zip"
_FIRST_DATE: Final = (1980, 1, 1, 0, 0, 0)


def united(keys: Iterable[pl.Series]) -> pl.Series:
    """The different keys, in order."""
    ordered = pl.concat([pl.Series(KEY, [], pl.Int64), *keys]).sort()
    return ordered.filter(ordered.ne_missing(ordered.shift(1)))


def have_common(keys: pl.Series, others: pl.Series) -> bool:
    """Whether some key is in both; each has different ones, in order."""
    merged = keys.to_frame().merge_sorted(others.to_frame(), key=KEY).to_series()
    return bool((merged == merged.shift(1)).any())


def pack_keys(keys: pl.Series) -> bytes:
    """The keys as a Parquet file."""
    return _parquet(keys.to_frame())


def unpack_keys(data: bytes) -> pl.Series:
    """The different keys, in order."""
    return pl.read_parquet(BytesIO(data))[KEY]


def pack_sums(found: Frames, datasets: Sequence[GoldDataset]) -> bytes:
    """The frames by name, as a ZIP file of Parquet files; the same frames give the same bytes."""
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.comment = definition(datasets).encode()
        for name, frame in sorted(found.items()):
            archive.writestr(zipfile.ZipInfo(f"{name}.parquet", _FIRST_DATE), _parquet(frame))
    return packed.getvalue()


def unpack_sums(data: bytes) -> Frames:
    """The frames by name."""
    with zipfile.ZipFile(BytesIO(data)) as archive:
        return {Path(name).stem: pl.read_parquet(BytesIO(archive.read(name))) for name in archive.namelist()}


def are_sums_for(data: bytes, datasets: Sequence[GoldDataset]) -> bool:
    """Whether the frames are what these datasets need."""
    with zipfile.ZipFile(BytesIO(data)) as archive:
        return archive.comment == definition(datasets).encode()


def definition(datasets: Sequence[GoldDataset]) -> str:
    """A hash of what the datasets need of the sales."""
    sums = [each.definition for each in sums_of(datasets)]
    return hashlib.sha256(json.dumps(sums).encode()).hexdigest()


def _parquet(frame: pl.DataFrame) -> bytes:
    file = BytesIO()
    frame.write_parquet(file, compression="zstd")
    return file.getvalue()
