"""A check in blocks finds what a check of the whole file would find."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopease_etl.warehouse import csv_files
from shopease_etl.warehouse.csv_files import check_csv, row_at

values = st.text(st.sampled_from('a"\n,'), max_size=40)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("csv") / "x.csv"


@given(records=st.lists(st.tuples(values, values), min_size=1, max_size=8), block=st.integers(1, 30))
def test_the_longest_record_is_found(path: Path, records: list[tuple[str, str]], block: int) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        starts = [(stream.tell(), writer.writerow(record))[0] for record in records]
    ends = [*starts[1:], path.stat().st_size]
    lengths = [end - start - 1 for start, end in zip(starts, ends, strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_files, "_BLOCK", block)
        patch.setattr(csv_files, "USUAL_RECORD", 0)
        check = check_csv(path, has_line_breaks=True)
        assert check.cut_off is None
        assert max(lengths) - block <= check.longest <= max(lengths)
        for number, start in enumerate(starts):
            assert row_at(path, start) == number
        if check.longest_at:
            assert check.longest_at in starts


@pytest.mark.parametrize("has_line_breaks", [False, True])
def test_a_long_line_is_found_between_short_ones(path: Path, has_line_breaks: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_files, "USUAL_RECORD", 1 << 18)
        patch.setattr(csv_files, "_BLOCK", 1 << 17)
        for before in range(0, 1 << 20, 1 << 17):
            path.write_bytes(b"a\n" + b"b\n" * (before // 2) + b"c" * (300_000) + b"\n" + b"d\n" * 100_000)
            check = check_csv(path, has_line_breaks=has_line_breaks)
            assert (check.longest, check.longest_at) == (300_000, 2 + before)
            assert row_at(path, check.longest_at) == 1 + before // 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [('a\n"b', "quoted field"), ("a\nb", "line end"), ("", "line end"), ('a\n"b\n', "quoted field")],
)
def test_a_cut_off_file_is_found(path: Path, text: str, reason: str) -> None:
    path.write_text(text)
    assert reason in str(check_csv(path, has_line_breaks=True).cut_off)
