"""The grammar by which text becomes a value, as regular expressions that mean the same to every engine."""

from typing import Final

# The no-break space is written as itself: Athena's engine (Joni, in Java's syntax) reads \x{A0} as the letters x, {, A,
# 0 and }, RE2 does not know \u00A0, and to some \xA0 is a byte.
WHITESPACE: Final = "[ \\t\\n\\r\\f\\x0B\u00a0]+"
WHITESPACE_CHARACTERS: Final = " \t\n\r\f\x0b\u00a0"
LINE_BREAK: Final = r"\r\n|\r|\n"


def _at_most(limit: str) -> str:
    """Numbers with as many digits as the limit that are not greater."""
    smaller = (
        f"{limit[:place]}[0-{int(digit) - 1}][0-9]{{{len(limit) - place - 1}}}"
        for place, digit in enumerate(limit)
        if digit != "0"
    )
    return f"(?:{'|'.join(smaller)}|{limit})"


# What does not fit a bigint or a decimal(18,2) does not parse.
INTEGER: Final = rf"^(?:[+-]?0*(?:[0-9]{{1,18}}|{_at_most('9223372036854775807')})|-0*9223372036854775808)$"
NUMBER: Final = r"^[+-]?0*[0-9]{1,16}(?:\.[0-9]+)?$"
SURPLUS_DECIMALS: Final = r"(\.[0-9]{2})[0-9]+$"
ROUNDS_AWAY: Final = r"\.[0-9]{2}[5-9]"


def _timestamp() -> str:
    """A date of the calendar, then perhaps a time, then perhaps an offset."""
    divisible_by_4 = r"(?:0[48]|[2468][048]|[13579][26])"
    year = r"(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
    leap_year = rf"(?:[0-9]{{2}}{divisible_by_4}|{divisible_by_4}00)"
    date = (
        rf"(?:{year}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
        r"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
        r"|02-(?:0[1-9]|1[0-9]|2[0-8]))"
        rf"|{leap_year}-02-29)"
    )
    time = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
    offset = r"(?:Z|[+-](?:0[0-9]|1[0-5])(?:[0-5][0-9]|:[0-5][0-9](?::[0-5][0-9])?)?)"
    return rf"^{date}(?:[ T]{time}{offset}?)?$"


TIMESTAMP: Final = _timestamp()

# Text that silver takes unchanged, so that it need not be parsed; other text may be valid too. Counts and amounts are
# greater than zero, and so small that their product is a decimal(18,2).
PLAIN_INTEGER: Final = r"^(?:0|-?[1-9][0-9]{0,17})$"
PLAIN_COUNT: Final = r"^[1-9][0-9]{0,8}$"
PLAIN_MONEY: Final = r"^(?:[1-9][0-9]{0,5}\.[0-9]{2}|0\.(?:0[1-9]|[1-9][0-9]))$"
PLAIN_TEXT: Final = r"^[!-~]+(?: [!-~]+)*$"
PLAIN_UPPERCASE: Final = r"^[!-`{-~]+(?: [!-`{-~]+)*$"
PLAIN_LOWERCASE: Final = r"^[!-@\[-~]+(?: [!-@\[-~]+)*$"
