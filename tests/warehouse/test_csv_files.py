"""A CSV file is looked over in pieces as it is read whole."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopease_etl.warehouse import csv_files
from shopease_etl.warehouse.csv_files import look_over, row_at

values = st.text(st.sampled_from('a"\n,'), max_size=40)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("csv") / "x.csv"


@given(records=st.lists(st.tuples(values, values), min_size=1, max_size=8), piece=st.integers(1, 30))
def test_no_record_is_longer_than_it_is_seen_to_be(path: Path, records: list[tuple[str, str]], piece: int) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        starts = [(stream.tell(), writer.writerow(record))[0] for record in records]
    ends = [*starts[1:], path.stat().st_size]
    lengths = [end - start - 1 for start, end in zip(starts, ends, strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_files, "_PIECE", piece)
        patch.setattr(csv_files, "USUAL_RECORD", 0)
        look = look_over(path, has_line_breaks=True)
        assert look.cut_off is None
        assert max(lengths) - piece <= look.longest <= max(lengths)
        for number, start in enumerate(starts):
            assert row_at(path, start) == number
        if look.longest_at:
            assert look.longest_at in starts


@pytest.mark.parametrize("has_line_breaks", [False, True])
def test_a_line_end_in_the_windows_hides_no_long_line(path: Path, has_line_breaks: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_files, "USUAL_RECORD", 1 << 18)
        patch.setattr(csv_files, "_PIECE", 1 << 17)
        for before in range(0, 1 << 20, 1 << 17):
            path.write_bytes(b"a\n" + b"b\n" * (before // 2) + b"c" * (300_000) + b"\n" + b"d\n" * 100_000)
            look = look_over(path, has_line_breaks=has_line_breaks)
            assert (look.longest, look.longest_at) == (300_000, 2 + before)
            assert row_at(path, look.longest_at) == 1 + before // 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [('a\n"b', "quoted field"), ("a\nb", "line end"), ("", "line end"), ('a\n"b\n', "quoted field")],
)
def test_a_file_that_was_cut_off_is_seen(path: Path, text: str, reason: str) -> None:
    path.write_text(text)
    assert reason in str(look_over(path, has_line_breaks=True).cut_off)
