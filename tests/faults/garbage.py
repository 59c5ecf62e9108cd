"""Garbage from a seed: bytes, JSON and text with the faults that files and people produce."""

import copy
import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Final, TypeVar

from shopease_etl.errors import ShopeaseError
from tally import Tally

T = TypeVar("T")

INPUTS_A_ROUND: Final = 50
_SPLICES: Final = (
    b"\0",
    b"\n",
    b"\r\n",
    b'"',
    b"'",
    b",",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"\\",
    b"x" * 70_000,
)
_ODD: Final[tuple[Any, ...]] = (
    *(
        None,
        True,
        -1,
        0,
        1.5,
        10**400,
        float("nan"),
        float("inf"),
        float("-inf"),
        "",
        "x",
        "a\nb",
        "\ud800",
        "\0",
        "1e999",
    ),
    *([], {}, [[]], {"": None}, "../../x", "2024-01-01", "9" * 400, "@deep", "@long", "NaN"),
)
# What Python's encoder would not write.
_RAW: Final = {'"@deep"': "[" * 100_000, '"@long"': "1" * 5_000}


def feed(name: str, rounds: int, make: Callable[[Random], T], take: Callable[[T], object]) -> tuple[int, int]:
    """Give a parser garbage: it takes it, or refuses it in one line; how many inputs ended one way and the other."""
    taken = refused = 0
    for number in range(rounds * INPUTS_A_ROUND):
        garbage = make(Random(f"{name} {number}"))
        try:
            take(garbage)
            taken += 1
        except ShopeaseError as error:
            message = str(error)
            assert message.strip(), (number, garbage)
            assert not {"\n", "\r"} & set(message), (number, message, garbage)
            refused += 1
        except BaseException as error:
            error.add_note(f"input {number} of {name}: {garbage!r:.2000}")
            raise
    tally = Tally.asked_for()
    for ended, count in (("taken", taken), ("refused in one line", refused)):
        if count:
            tally.count("a parser", f"garbage: {name}", "untouched", ended, count)
    return taken, refused


def damaged(random: Random, data: bytes) -> bytes:
    """The data with some damage, or none of it any more."""
    for _ in range(random.choice((1, 1, 1, 2, 5))):
        data = random.choice((_noise, _cut, _flipped, _spliced, _without, _doubled, _exchanged))(random, data)
    return data


def _noise(random: Random, data: bytes) -> bytes:
    return random.randbytes(random.choice((0, 1, 20, 600))) if random.random() < 0.3 else data


def _cut(random: Random, data: bytes) -> bytes:
    return data[: random.randint(0, len(data))]


def _flipped(random: Random, data: bytes) -> bytes:
    found = bytearray(data)
    for _ in range(random.choice((1, 3, 30)) if found else 0):
        found[random.randrange(len(found))] ^= 1 << random.randrange(8)
    return bytes(found)


def _spliced(random: Random, data: bytes) -> bytes:
    at = random.randint(0, len(data))
    return data[:at] + random.choice(_SPLICES) + data[at:]


def _without(random: Random, data: bytes) -> bytes:
    start, end = _span(random, data)
    return data[:start] + data[end:]


def _doubled(random: Random, data: bytes) -> bytes:
    start, end = _span(random, data)
    return data[:end] + data[start:]


def _exchanged(random: Random, data: bytes) -> bytes:
    start, end = _span(random, data)
    return data[end:] + data[start:end] + data[:start]


def _span(random: Random, data: bytes) -> tuple[int, int]:
    start = random.randint(0, len(data))
    return start, min(len(data), start + random.choice((1, 9, 200, len(data))))


def damaged_json(random: Random, document: object) -> bytes:
    """A document of which some values are others, or whose text is damaged."""
    odd = copy.deepcopy(document)
    for _ in range(random.choice((1, 1, 2, 6))):
        odd = _replaced(random, odd)
    text = json.dumps(odd)
    if isinstance(odd, dict) and odd and random.random() < 0.1:
        text = f"{text[:-1]}, {json.dumps(random.choice(list(odd)))}: {json.dumps(odd_value(random))}}}"
    for mark, raw in _RAW.items():
        text = text.replace(mark, raw)
    return damaged(random, text.encode()) if random.random() < 0.2 else text.encode()


def odd_value(random: Random) -> Any:
    """A value of an unexpected kind."""
    return copy.deepcopy(random.choice(_ODD))


def _replaced(random: Random, document: Any) -> Any:
    places = list(_places(document))
    if not places or random.random() < 0.02:
        return odd_value(random)
    holder, key = random.choice(places)
    if random.random() < 0.2:
        del holder[key]
    else:
        holder[key] = odd_value(random)
    return document


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    """Every value's holder, and its key or index there."""
    members = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in list(members):
        yield document, key
        yield from _places(value)


def odd_text(random: Random, *samples: str) -> str:
    """A text that is one of the samples, or was one, or never was any."""
    if random.random() < 0.2:
        return random.choice(samples)
    text = random.choice(samples).encode() if random.random() < 0.8 else str(odd_value(random)).encode(errors="replace")
    return damaged(random, text)[:200_000].decode(errors="replace")
