"""Records are counted as a CSV reader counts them, however the bytes were cut."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from shopease_etl.lake.csv_bytes import RowCounter

fields = st.text(st.sampled_from('ab,"\n\r'), max_size=6)


@given(st.lists(st.lists(fields, min_size=2, max_size=3), max_size=8), st.lists(st.integers(0, 200), max_size=8))
def test_records_are_counted_wherever_the_stream_is_cut(rows: list[list[str]], cuts: list[int]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    data = text.getvalue().encode()
    counter = RowCounter()
    start = 0
    for cut in [*sorted(cut for cut in cuts if cut <= len(data)), len(data)]:
        counter.update(data[start:cut])
        start = cut
    assert counter.records == len(rows)
