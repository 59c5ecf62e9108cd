"""The views' regular expressions mean the same to the engine of Athena's Trino, as far as it can be had here.

Trino matches with Joni, a Java port of Oniguruma, in Java's syntax. Oniguruma itself, where a machine has its library,
reads that syntax too.
"""

import ctypes
import ctypes.util
import re
from typing import Any

import pytest

from shopease_etl.contract.tables import TABLES
from shopease_etl.warehouse.formats import declared_tables
from shopease_etl.warehouse.schema import base_of, typed_view

VIEWS = {
    table.name: typed_view(table, base, "d")
    for table in TABLES
    for base in declared_tables()
    if base.name == base_of(table)
}
VALUES = ("10", "100", "3000", "0", " 7\u00a0", "\t-5\r", "A0", "{0}", "", "Avenue A", "0x0", "x", "10.50", "1e5")
STAMPS = ("2024-01-10 08:30:00", "2024-02-29", "2023-02-29", "2024-01-10T08:30:00.123456+05:30", "\u00a02024-01-10 ")


class _Region(ctypes.Structure):
    _fields_ = (
        ("allocated", ctypes.c_int),
        ("num_regs", ctypes.c_int),
        ("beg", ctypes.POINTER(ctypes.c_int)),
        ("end", ctypes.POINTER(ctypes.c_int)),
        ("history", ctypes.c_void_p),
    )


@pytest.fixture(scope="module")
def library() -> Any:
    """Oniguruma, initialised."""
    name = ctypes.util.find_library("onig")
    if name is None:
        pytest.skip("needs Oniguruma's library (libonig)")
    found = ctypes.CDLL(name)
    found.onig_region_new.restype = ctypes.POINTER(_Region)
    found.onig_init()
    return found


def spans(library: Any, pattern: str, text: str) -> list[tuple[int, int]]:
    """Where the pattern matches, one match after the other, in bytes of UTF-8."""
    utf8, java = (ctypes.c_void_p.in_dll(library, name) for name in ("OnigEncodingUTF8", "OnigSyntaxJava"))
    source, data = pattern.encode(), text.encode()
    compiled, kept, buffer = ctypes.c_void_p(), ctypes.create_string_buffer(source), ctypes.create_string_buffer(data)
    first, begin = ctypes.addressof(kept), ctypes.addressof(buffer)
    pointers = [ctypes.c_void_p(place) for place in (first, first + len(source))]
    assert library.onig_new(ctypes.byref(compiled), *pointers, 0, ctypes.byref(utf8), ctypes.byref(java), None) == 0
    found, at, end = [], 0, begin + len(data)
    region = library.onig_region_new()
    while at <= len(data):
        places = [ctypes.c_void_p(place) for place in (begin, end, begin + at, end)]
        if library.onig_search(compiled, *places, region, 0) < 0:
            break
        found.append((region.contents.beg[0], region.contents.end[0]))
        at = max(found[-1][1], at + 1)
    return found


def patterns_of(sql: str) -> set[str]:
    """The regular expressions in a view."""
    return {text for text in re.findall(r"'((?:[^']|'')*)'", sql) if text.startswith("^")}


@pytest.mark.parametrize("name", VIEWS)
def test_oniguruma_matches_like_python(library: Any, name: str) -> None:
    for pattern in patterns_of(VIEWS[name].sql):
        for text in (*VALUES, *STAMPS):
            expected = [
                (len(text[: match.start()].encode()), len(text[: match.end()].encode()))
                for match in re.finditer(pattern, text)
            ]
            assert spans(library, pattern, text) == expected, (pattern, text)


@pytest.mark.parametrize("name", VIEWS)
def test_no_pattern_has_syntax_that_engines_read_differently(name: str) -> None:
    patterns = patterns_of(VIEWS[name].sql)
    assert patterns
    assert not [pattern for pattern in patterns if re.search(r"\\x\{|\\u|\\x[89A-Fa-f]|\\[hHRKGZzpPwWdDsSbB]", pattern)]
