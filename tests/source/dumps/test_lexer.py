"""Where statements end, however the data is cut into pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopease_etl.source.dumps import lexer
from shopease_etl.source.dumps.lexer import Lexer

FRAGMENTS = (
    *(b"a", b"E", b"e'\\'", b"'", b"''", b'"', b"$", b"$$", b"$a$", b"(", b")", b";", b"\\", b"-", b"--", b"/*", b"*/"),
    *(b"\n", b"\r", b" ", b"1", b"CREATE FUNCTION f() BEGIN ATOMIC ", b"END", b",", b"('x', E'\\\\', 2)", b"\xc3\xa9"),
)


def end_of(text: bytes, size: int) -> tuple[int, str]:
    """Where a lexer stops that gets the text in pieces, and what it sees there."""
    state, data, at = Lexer(), b"", 0
    for start in range(0, len(text), size):
        data += text[start : start + size]
        at, event = state.advance(data, at, final=False)
        if event:
            return at, event
    return state.advance(data, at, final=True)


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=25).map(b"".join), st.integers(1, 20))
def test_pieces_change_nothing(text: bytes, size: int) -> None:
    assert end_of(text, size) == end_of(text, len(text) + 1)


@pytest.mark.parametrize(
    ("text", "event"),
    [
        (b"SELECT 1;", lexer.END),
        (b"SELECT ';';", lexer.END),
        (b"SELECT E'\\';' 'x;';", lexer.END),
        (b"SELECT E'a' -- comment\n '\\';';", lexer.END),  # psql goes on with the string in the next line
        (b"SELECT E'a''\\';';", lexer.END),
        (b"SELECT /* /* ; */ ; */ 1;", lexer.END),
        (b"SELECT $a$;$b$;$a$;", lexer.END),
        (b"SELECT a$a$;", lexer.END),
        (b"SELECT (1;2);", lexer.END),
        (b"SELECT date'x;', nameE'\\';", lexer.END),
        (b"INSERT INTO t VALUES (somee'\\');", lexer.END),
        (b"CREATE FUNCTION f() BEGIN ATOMIC SELECT CASE WHEN 1 THEN 2 END; END;", lexer.END),
        (b"SELECT -- \r \\", lexer.BACKSLASH),  # for psql a carriage return ends the comment
        (b"INSERT INTO t VALUES (1; \\", lexer.BACKSLASH),
        (b"SELECT 'a\\' \\", lexer.BACKSLASH),
        (b"SELECT 1a$", lexer.AMBIGUOUS),
        (b"SELECT 1e'", lexer.AMBIGUOUS),
        (b"SELECT 'a", lexer.MORE),
        (b"SELECT (1;", lexer.MORE),
    ],
)
def test_like_psql(text: bytes, event: str) -> None:
    at, seen = end_of(text, len(text))
    assert seen == event
    assert seen != lexer.END or at == len(text)
