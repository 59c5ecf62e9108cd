"""Timestamps' text as points of one time line."""

import polars as pl


def instant(text: pl.Expr, zone: str) -> pl.Expr:
    """Microseconds since 1970 in UTC, of text that is a timestamp by the grammar; NULL of NULL.

    Without an offset it is read in the time zone, whose rules Polars knows up to 2099. What the zone's clock shows
    twice or never, when it is put back or forward, is read with the offset before that.
    """
    clock = text.str.slice(11).str.extract(r"^([0-9:]{8}(?:\.[0-9]+)?)").fill_null("00:00:00")
    local = pl.concat_str(text.str.slice(0, 10), clock, separator=" ").str.to_datetime(
        "%Y-%m-%d %H:%M:%S%.f", time_unit="us"
    )
    offset = text.str.slice(19).str.extract(r"(Z|[+-].*)$").str.replace_all(":|Z", "")
    digits = offset.str.pad_end(7, "0")  # sign, hours, minutes, seconds
    seconds = sum(
        (digits.str.slice(at, 2).cast(pl.Int64) * size for at, size in ((1, 3600), (3, 60), (5, 1))), pl.lit(0)
    )
    east = pl.when(offset.str.starts_with("-")).then(-seconds).otherwise(seconds)
    return pl.when(offset.is_null()).then(_in_zone(local, zone)).otherwise(local.dt.timestamp("us") - east * 1_000_000)


def _in_zone(local: pl.Expr, zone: str) -> pl.Expr:
    def utc(time: pl.Expr) -> pl.Expr:
        return time.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null").dt.timestamp("us")

    day_before = local.dt.offset_by("-1d")
    offset_before = utc(day_before) - day_before.dt.timestamp("us")
    return pl.coalesce(utc(local), offset_before + local.dt.timestamp("us"))
