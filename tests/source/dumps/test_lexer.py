"""Where statements end does not depend on how the data is cut into pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopease_etl.source.dumps.lexer import Event, Lexer

FRAGMENTS = (
    *(b"a", b"E", b"e'\\'", b"'", b"''", b'"', b"$", b"$$", b"$a$", b"(", b")", b";", b"\\", b"-", b"--", b"/*", b"*/"),
    *(b"\n", b"\r", b" ", b"1", b"CREATE FUNCTION f() BEGIN ATOMIC ", b"END", b",", b"('x', E'\\\\', 2)", b"\xc3\xa9"),
)


def end_of(text: bytes, size: int) -> tuple[int, Event]:
    """Where a lexer stops that gets the text in pieces, and what it finds there."""
    state, data, at = Lexer(), b"", 0
    for start in range(0, len(text), size):
        data += text[start : start + size]
        at, event = state.advance(data, at, final=False)
        if event != Event.MORE:
            return at, event
    return state.advance(data, at, final=True)


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=25).map(b"".join), st.integers(1, 20))
def test_pieces_of_any_size_give_the_same_result(text: bytes, size: int) -> None:
    assert end_of(text, size) == end_of(text, len(text) + 1)


@pytest.mark.parametrize(
    ("text", "event"),
    [
        (b"SELECT 1;", Event.END),
        (b"SELECT ';';", Event.END),
        (b"SELECT E'\\';' 'x;';", Event.END),
        (b"SELECT E'a' -- comment\n '\\';';", Event.END),  # for psql the string continues in the next line
        (b"SELECT E'a''\\';';", Event.END),
        (b"SELECT /* /* ; */ ; */ 1;", Event.END),
        (b"SELECT $a$;$b$;$a$;", Event.END),
        (b"SELECT a$a$;", Event.END),
        (b"SELECT (1;2);", Event.END),
        (b"SELECT date'x;', nameE'\\';", Event.END),
        (b"INSERT INTO t VALUES (somee'\\');", Event.END),
        (b"CREATE FUNCTION f() BEGIN ATOMIC SELECT CASE WHEN 1 THEN 2 END; END;", Event.END),
        (b"SELECT -- \r \\", Event.COMMAND),  # for psql a carriage return ends the comment
        (b"INSERT INTO t VALUES (1; \\", Event.COMMAND),
        (b"SELECT 'a\\' \\", Event.COMMAND),
        (b"SELECT 1a$", Event.AMBIGUOUS),
        (b"SELECT 1e'", Event.AMBIGUOUS),
        (b"SELECT 'a", Event.MORE),
        (b"SELECT (1;", Event.MORE),
    ],
)
def test_like_psql(text: bytes, event: Event) -> None:
    at, seen = end_of(text, len(text))
    assert seen == event
    assert seen != Event.END or at == len(text)
