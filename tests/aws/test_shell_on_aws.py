"""The shell of `shopease query` on an emulated Athena, whose SQL is DuckDB's: costs, parameters, and Ctrl-C."""

import re
from pathlib import Path
from typing import Final

import pytest

from accounts import new_account, running_emulator, set_environment
from commands import Shop
from conftest import eventually
from terminals import CTRL_C, CTRL_D, ENTER, terminal

PROMPT: Final = "^shopease>"
ENDLESS: Final = "SELECT COUNT(*) FROM range(1000000) a(x), range(1000000) b(y) WHERE x * y % 7 = 1;"


def test_a_shell_shows_costs_and_cancels_on_athena(sales: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # an emulator of its own, for DuckDB works on after a statement was cancelled
    with running_emulator() as endpoint:
        account = new_account(endpoint)
        set_environment(monkeypatch, account.environment)
        bucket = account.new_bucket()
        account.new_catalog(bucket)
        shop = Shop(tmp_path, sales, f"s3://{bucket}/prod")
        shop.run("run-all").done()
        athena = account.client("athena")

        def states(sql: str) -> list[str]:
            found = athena.list_query_executions(WorkGroup="shopease-analytics")["QueryExecutionIds"]
            executions = [athena.get_query_execution(QueryExecutionId=one)["QueryExecution"] for one in found]
            return [one["Status"]["State"] for one in executions if sql in one["Query"]]

        with terminal(shop, "query", "-p", "city=it's") as opened:
            opened.expect(PROMPT)
            # the emulator keeps views out of Glue
            opened.type(r"\d silver_transactions", ENTER)
            opened.expect("^transaction_id +string")
            opened.expect(PROMPT)
            opened.type("SELECT :city AS city, COUNT(*) AS n FROM product_performance WHERE :city <> 'a';", ENTER)
            shown = opened.expect(r"^Scanned .*")
            assert re.search(r"^it's +\d+$", shown, re.MULTILINE)
            assert re.search(r"charged 10\.5 MB: \$0\.000052 at \$5 a TB", shown)
            opened.expect(PROMPT)
            opened.type(ENDLESS, ENTER)
            eventually(lambda: states("range(1000000)") == ["RUNNING"])
            opened.type(CTRL_C)
            opened.expect(r"Cancelled\.")
            opened.expect(PROMPT)
            assert states("range(1000000)") == ["CANCELLED"]
            opened.type(CTRL_D)
            assert opened.end() == 0
