"""What Athena refuses is refused on a local lake, and functions that a local lake lacks are named, never guessed at."""

import re
from collections.abc import Iterator
from pathlib import Path

import athena_refused
import pytest
import sql_document
import trino_answers

from shopease_etl.errors import ConfigurationError, ShopeaseError
from shopease_etl.warehouse.duckdb import Engine
from shopease_etl.warehouse.trino_functions import ATHENA, LOCAL

FROM = "FROM (VALUES (1, CAST('x' AS varchar), DATE '2024-01-01')) t(n, s, d)"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with Engine(tmp_path_factory.mktemp("lake"), "shopease_catalog") as engine:
        engine.add_view("sales", f"SELECT n, s, d {FROM}")
        yield engine


@pytest.mark.parametrize(("sql", "message", "hint"), [*athena_refused.REFUSED, *athena_refused.NOT_LOCAL])
def test_sql_that_athena_or_a_local_lake_lacks_is_refused(engine: Engine, sql: str, message: str, hint: str) -> None:
    with pytest.raises(ShopeaseError) as raised:
        engine.execute(sql).read_all()
    assert message in str(raised.value)
    assert hint in (raised.value.hint or "")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT n AS n, s AS d FROM sales GROUP BY n, s",
        "SELECT n + 1 AS n FROM sales WHERE n = 1 GROUP BY n",
        "SELECT upper(s) AS up FROM sales GROUP BY upper(s) ORDER BY up",
        "SELECT upper(s) AS up FROM sales GROUP BY 1",
        "WITH a AS (SELECT n AS k FROM sales) SELECT k AS j FROM a WHERE EXISTS (SELECT 1 FROM sales WHERE n = k)",
        "SELECT (SELECT MAX(n) AS m FROM sales b WHERE b.n = a.n) AS m FROM sales a",
        'SELECT n AS "&", s AS "::" FROM sales',
        """SELECT trim(BOTH FROM 'sales') AS "n", "n" AS "x" FROM "sales" AS "s" WHERE s <> 'x' AND s <> 's'""",
        "SELECT s AS text, 'a::b' AS a FROM sales WHERE d >= DATE '2024-01-01' AND s = '1' AND n NOT IN (1, 2.5)",
        "SELECT n FROM (SELECT n FROM sales LIMIT 5) OFFSET 0 LIMIT 1",
    ],
)
def test_similar_sql_is_accepted(engine: Engine, sql: str) -> None:
    engine.execute(sql).read_all()


@pytest.mark.parametrize("name", sorted(ATHENA - LOCAL))
def test_a_function_that_a_local_lake_lacks_is_named(engine: Engine, name: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        engine.execute(f"SELECT {name}(s) FROM sales")
    assert "is not available on a local lake" in str(raised.value) or name in {"current_user", "current_time"}
    assert "Did you mean" not in str(raised.value)


def test_every_function_of_a_local_lake_is_compared() -> None:
    text = " ".join(expression for answers in trino_answers.ANSWERS.values() for expression, _ in answers).lower()
    assert {name for name in LOCAL if re.search(rf"\b{name}\b", text) is None} == set()


def test_an_unknown_function_gets_a_suggestion(engine: Engine) -> None:
    with pytest.raises(ConfigurationError, match=r"Athena has no function date_trun, at line 1, column 8") as raised:
        engine.execute("SELECT date_trun('month', d) FROM sales")
    assert raised.value.hint == "did you mean date_trunc?"


def test_the_document_matches_the_tests() -> None:
    written = (Path(__file__).parents[2] / "docs" / "SQL.md").read_text(encoding="utf-8")
    assert written == sql_document.document() + "\n", "run `make format`"
