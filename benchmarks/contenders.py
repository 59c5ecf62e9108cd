"""The peers: who else can do it, each in the fastest way that it documents; the options are told in its script."""

from typing import Final

from benchmarks.entrants import BRONZE, HERE, LAKE, Command, Entrant, Run

_UNCLEAN: Final = (
    "five of the eight gold datasets, quarantine, manifest, counts, reconciliation, publication of all or nothing; "
    "white space inside texts"
)


def _peer(name: str, title: str, group: str, leaves_out: str) -> Entrant:
    script = next(path for path in HERE.glob(f"peers/{name}.*") if path.suffix in {".py", ".sh"})

    def command(run: Run) -> Command:
        return ["bash" if script.suffix == ".sh" else run.programs / "python", script]

    return Entrant(name, title, group, command, leaves_out, script.with_suffix(".txt"))


PEERS: Final = (
    _peer("dlt_bronze", "dlt (ConnectorX)", BRONZE, "one snapshot; money gets ten decimals"),
    _peer("ingestr_bronze", "ingestr (to Parquet)", BRONZE, "one snapshot; the source's CSV"),
    _peer("meltano_bronze", "Meltano (tap-postgres, target-csv)", BRONZE, "one snapshot"),
    _peer("sling_bronze", "Sling", BRONZE, "one snapshot"),
    _peer(
        "old_lake",
        "old way (psql, pandas, `aws s3 cp`)",
        LAKE,
        f"one snapshot; {_UNCLEAN}; in Parquet money becomes floating point and dates text",
    ),
    _peer("duckdb_lake", "DuckDB (postgres, httpfs)", LAKE, _UNCLEAN),
    _peer("polars_lake", "own script (psql, Polars, s5cmd)", LAKE, _UNCLEAN),
)
