"""What the package offers by its own name."""

import subprocess
import sys

import pytest

import shopease_etl

SLOW = ("boto3", "duckdb", "polars", "psycopg", "pyarrow", "pydantic")


def test_public_names_come_when_they_are_asked_for() -> None:
    assert [getattr(shopease_etl, name).__name__ for name in shopease_etl.__all__] == shopease_etl.__all__
    with pytest.raises(AttributeError, match="no attribute 'Pipe'"):
        shopease_etl.Pipe  # noqa: B018 - to look it up is the test
    script = f"import sys, shopease_etl; sys.exit(len({{*sys.modules}} & {{*{SLOW!r}}}))"
    subprocess.run([sys.executable, "-c", script], check=True)
