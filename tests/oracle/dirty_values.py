"""Unusual values and names that a source may have; each is drawn by a seeded generator."""

from random import Random
from typing import Final

# White space of every kind, what CSV, SQL and patterns read in their own way, letters whose cases are odd.
PIECES: Final = (
    *(" ", "  ", "\t", "\n", "\r\n", "\r", "\f", "\v", "\u00a0", "\u2003", "\u200b", "\u2028", "\x85", "\ufeff"),
    *("\x1c", "\x01", "\x7f", "\u202e", ",", '"', '""', "'", "\\", "\\.", "\\N", "NULL", "=1+1", "%s", ";", "{}", "$1"),
    *(
        "a",
        "B",
        "Tea",
        "pot",
        "ß",
        "ẞ",
        "Σ",
        "ΟΔΟΣ",
        "ς",
        "İ",
        "ı",
        "ŉ",
        "ǆ",
        "ﬁ",
        "É",
        "e\u0301",
        "漢",
        "😀",
        "ȺȾ",
        "𐐀",
    ),
)
NUMBERS: Final = (
    *(
        " +5 ",
        "1e2",
        "1E-2",
        "1_000",
        "1,000",
        "٣",
        "１２",
        "²",
        "2.5",
        "2.0",
        "2.",
        ".5",
        "5.",
        ".",
        "+",
        "-",
        "-0",
        "+0",
    ),
    *("0", "00", "-3", "007", "+007", "0x10", "NaN", "inf", "-Infinity", "", " ", "\u00a0", "\u00a05\u00a0", "\t5\n"),
    *("\v5\f", "\r\n5", "\u20035", "5\u200b", "\ufeff5", "5\x1c", "- 5", "+-5", "5 5", "5\n5", "(5)", "5%", "abc"),
    *("true", "1/2", "1.2.3", "0" * 47 + "5", "0" * 47 + "1.5", "10.005", "-10.005", "0.005", "0.004", "-0.004"),
    *("0.004" + "9" * 60, "0.005" + "0" * 60 + "1", "1.005", "2.675", "999999.995", "+1.455", "$5", "5€", "1" * 40),
    *("9" * 50, "9" * 5000, "0" * 5000 + "7", "0." + "3" * 300, "9223372036854775808", "-9223372036854775808"),
    *(
        "-9223372036854775809",
        "18446744073709551616",
        "10000000000000000",
        "9999999999999999.995",
        "-99999999999999999",
    ),
)
HUGE_NUMBERS: Final = (
    *("9999999999999999.99", "9999999999999999.994", "+9999999999999999", "00009999999999999999.9"),
    *("90071992547409.93", "5000000000000000.00"),
)
HUGE_COUNTS: Final = ("9223372036854775807", "999999999999999999", "1000000000000")
MOMENTS: Final = (
    *("2024-02-30", "2023-02-29", "2024-02-29", "1900-02-29", "2000-02-29", "2024-13-01", "2024-01-00", "2024-1-1"),
    *("24-01-01", "20240101", "2024/01/01", "+2024-01-01", "0000-01-01", "0001-01-01", "0001-01-01 00:00:00+15:59"),
    *("9999-12-31", "9999-12-31 23:59:59.999999-15:59:59", "10000-01-01", "0044-03-15 00:00:00 BC", "1677-01-01"),
    *("2024-01-01 24:00:00", "2024-01-01 23:59:60", "2024-12-31 23:59:59.999999", "infinity", "-infinity", "now"),
    *("", " ", "\u00a0", "2024-01-01 ", "2024-01-01T", "2024-01-01T10:00:00", "2024-01-01t10:00:00", "2300-01-01"),
    *("\u00a0\v2024-01-01 10:00:00\f\r\n", "2024-01-01\n10:00:00", "2024-01-01 10:00", "2024-01-01 10:00:00."),
    *("2024-01-01 10:00:00.1", "2024-01-01 10:00:00.1234567", "2024-01-01 10:00:00Z", "2024-01-01 10:00:00 Z"),
    *("2024-01-01 10:00:00 UTC", "2024-01-01 10:00:00+02", "2024-01-01 10:00:00+0200", "2024-01-01 10:00:00+02:00"),
    *("2024-01-01 10:00:00+02:00:01", "2024-01-01 10:00:00 +02", "2024-01-01 10:00:00+2", "2024-01-01 10:00:00+16"),
    *("2024-01-01 10:00:00+15:60", "2024-01-01+02", "２０２４-01-01", "1850-01-01 00:00:00", "2024-01-01 10:00:00-00"),
)
# By time zone, spellings of moments around changes of the clock, some of which are the same; UTC has no change.
CLOCK_CHANGES: Final = {
    "UTC": ("2024-03-31 01:30:00", "2024-03-31 01:30:00Z", "2024-03-31T03:30:00+02:00", "2024-03-30 21:30:00-0400"),
    "Europe/Berlin": (
        *("2024-10-27 02:30:00", "2024-10-27 02:30:00+02", "2024-10-27 02:30:00+01", "2024-10-27 00:45:00Z"),
        *("2024-10-27 02:59:59.999999", "2024-10-27 03:00:00", "2024-10-27 01:15:00+00"),
    ),
    "America/New_York": (
        *("2024-03-10 02:30:00", "2024-03-10 01:59:59", "2024-03-10 03:00:00", "2024-03-10 07:00:00Z"),
        *("2024-03-10 02:30:00-05", "2024-03-10 03:15:00", "2024-03-10 03:30:00"),
    ),
    "America/St_Johns": (
        *("2024-11-03 01:30:00", "2024-11-03 01:30:00-0330", "2024-11-03 01:30:00-02:30", "2024-11-03 04:30:00Z"),
        *("1987-04-05 00:00:30", "1987-04-05 00:01:00", "1850-01-01 00:00:00", "1850-01-01 00:00:00-03:30:52"),
    ),
    "Asia/Kathmandu": ("1986-01-01 00:07:00", "1986-01-01 00:15:00", "1985-12-31 18:30:00Z", "1985-12-31 23:59:59"),
    "Pacific/Apia": (
        *("2011-12-30 10:00:00", "2011-12-29 23:59:59", "2011-12-31 00:00:00", "2011-12-30 10:00:00Z"),
        *("2011-12-31 10:00:00", "2011-12-30", "2011-12-30T21:00:00Z"),
    ),
}
NAMES: Final = (
    *("^phone$", "*", "a.b", '"q"', "Phone", "CITY", "Email", "Year", "MONTH", "total_amount", "Transaction_Date"),
    *("day", "run_id", "RUN_ID", "Rejected_Rule", "Größe, m", " ", "a  b", ":x", "shopease:row", "literal", "len"),
    *("index", "$1", "%s", "{}", "'", "\\", "row", "^.*$", "customer_id ", "Customer_ID", "key", "null", "Quantity"),
    *("bom\ufeff", "x" * 63, "😀", "updated_at_", "Updated_At", "column_1", "note", "^(?i)PRICE$", "--", "a;b", "\t"),
    *("__row__", "rule", "rejected", "price*", "`", "[0]", "select", "source_note", "source_Year", "source_Phone"),
)


def text(random: Random) -> str | None:
    """Some pieces, or nothing."""
    if random.random() < 0.15:
        return random.choice((None, "", " ", "\u00a0\n", "\t"))
    return "".join(random.choices(PIECES, k=random.randint(1, 6)))


def plain_text(random: Random) -> str:
    """An ordinary value."""
    return random.choice(("Tea Pot", "card", "Web", "1 Road", "Straße 5", "a@B.org"))


def moment(random: Random) -> str:
    """One of few moments, in one of many spellings."""
    day = f"2024-0{random.randint(1, 9)}-{random.randint(1, 28):02}"
    form = random.choice(("", " 10:00:00", "T10:00:00", " 12:00:00+02", " 08:00:00.000-0200", " 10:00:00.500000Z"))
    return day + form


def odd_moment(random: Random) -> str | None:
    """Anything where a moment should be."""
    return random.choice((*MOMENTS, None))


def odd_number(random: Random) -> str | None:
    """Anything where a number should be."""
    return random.choice((*NUMBERS, None))


def identifier(random: Random, number: int) -> str:
    """A whole number in one of its spellings."""
    form = random.choice(("{}",) * 6 + ("+{}", "00{}", " {}", "{}\n", "\u00a0{}\t"))
    return form.format(number)


def price(random: Random) -> str:
    """An amount in one of its spellings, small or large, with up to four decimals."""
    whole = random.choice((random.randint(0, 99), random.randint(1, 10**6), random.randint(1, 10**9)))
    return random.choice(
        (f"{whole}.{random.randint(1, 99):02}", f"+{whole + 1}", f"0{whole}.{random.randint(50, 9999):04}")
    )
