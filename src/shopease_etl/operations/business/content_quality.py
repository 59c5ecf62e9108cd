"""The head of the report, and its section about the data."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from shopease_etl.operations.business import texts
from shopease_etl.operations.business.blocks import Chart, Drawing, Figure, Section, Table
from shopease_etl.operations.business.figures import Report
from shopease_etl.report import Status
from shopease_etl.wording import counted

CLV: Final = "customer_lifetime_value"


def head(report: Report) -> list[tuple[str, str]]:
    """What the report is made of: names and values, for a list at its top."""
    facts = []
    if report.sales:
        is_future = report.sales.last > datetime.fromisoformat(report.made_at).date() + timedelta(days=1)
        warning = ", which is in the future: look for wrong dates in the source" if is_future else ""
        first, last = texts.day(report.sales.first), texts.day(report.sales.last)
        facts.append(("Sales", (f"{first} to {last}" if first != last else last) + warning))
    if report.data_at:
        old = texts.age(report.data_at, report.made_at)
        facts.append(("Data from", f"{texts.moment(report.data_at)} ({old} before this report)"))
    facts.append(("Totals", _totals(report)))
    facts.append(("Run", report.run_id or "not recorded"))
    facts.append(("Report made", f"{texts.moment(report.made_at)}, by shopease {report.shopease_version}"))
    return facts


def _totals(report: Report) -> str:
    sums = f"{counted(report.transactions, 'sale')} for {texts.number(report.revenue)}"
    if report.reconciliation is None:
        return f"{sums}; no run has recorded a reconciliation"
    if report.reconciliation.agrees:
        return f"{sums}: source, silver and gold agree to the cent"
    return f"{sums}, which is NOT what silver has: run `shopease run-all` and look at its messages"


def trouble(report: Report) -> tuple[str, str] | None:
    """A title and a text about the last run, if it failed."""
    found = report.trouble
    if found is None:
        return None
    verb = {Status.FAILED: "failed", Status.INTERRUPTED: "was interrupted", Status.DIED: "died"}
    ending = verb.get(Status(found.status), found.status) if found.status in {*Status} else found.status
    title = f"The last run {ending} on {texts.moment(found.ended_at)}"
    reason = f"{found.error.rstrip('.')}. " if found.error else ""
    since = f"the run {found.figures_run_id}" if found.figures_run_id else "an earlier run"
    since += f", which ended on {texts.moment(found.figures_since)}" if found.figures_since else ""
    return title, f"{reason}All figures stand still since {since}. The run that did not succeed is {found.run_id}."


def missing(report: Report, section: Section) -> list[str]:
    """A sentence for each dataset of a section that the lake does not have."""
    absent = [name for name in section.sources if name in report.missing]
    return [
        f"There is no dataset {name} in this lake, so this part is left out: "
        + (
            "set SHOPEASE_CLV=on, then run `shopease aggregate`."
            if name == CLV
            else "run `shopease aggregate` to make it."
        )
        for name in absent
    ]


def quality(report: Report) -> Section:
    """Rows in, out and rejected; reconciliation; the datasets; the last runs."""
    blocks: list[Chart | Figure] = []
    if report.quality.tables:
        blocks.append(_tables(report))
    if report.reconciliation:
        blocks.append(_reconciliation(report))
    if report.quality.runs:
        blocks += _runs(report)
    blocks.append(_sources(report))
    intro = "Every row that is copied is either in the clean data or rejected with a reason; nothing is lost silently."
    return Section("data", "Data quality", intro, blocks=blocks)


def _tables(report: Report) -> Figure:
    rows = tuple(
        (
            table.table,
            ", ".join(f"{texts.label(rule)} {count:,}" for rule, count in table.rejected.items()) or "none",
            texts.number(table.rows_in),
            texts.number(table.rows_out),
            texts.number(table.rows_rejected),
            texts.percentage(table.rejected_percent),
        )
        for table in report.quality.tables
    )
    columns = ("table", "rejected rows by rule", "rows in", "rows out", "rejected", "share")
    words = "Rows in are those copied from the database. Rejected rows are kept in quarantine, with all they had."
    return Figure("Rows by table", words, Table("Rows by table", columns, rows, texts=2), is_wide=True)


def _reconciliation(report: Report) -> Figure:
    sums = report.reconciliation.sums if report.reconciliation else {}
    kinds = [kind for kind in ("transactions", "revenue", "rows") if any(name.endswith(f"_{kind}") for name in sums)]
    names = dict.fromkeys(
        name.rpartition("_")[0] for name in sums if name.endswith(tuple(f"_{kind}" for kind in kinds))
    )
    without = dict.fromkeys(name.partition("_without_")[2] for name in sums if "_without_" in name)
    rows = [(texts.label(name), *(_sum(sums, f"{name}_{kind}") for kind in kinds)) for name in names]
    rows += [
        (f"sales without {texts.label(name)}", *(_sum(sums, f"{kind}_without_{name}") for kind in kinds))
        for name in without
    ]
    words = (
        "Totals as the run compared them. A dataset and the sales that it cannot have add up to silver, to the cent."
    )
    table = Table("Reconciliation", ("total of", *kinds), tuple(rows))
    return Figure("Reconciliation", words, table, is_wide=True)


def _sum(sums: Mapping[str, Decimal | int], name: str) -> str:
    return texts.number(sums[name]) if name in sums else ""


def _sources(report: Report) -> Figure:
    rows = tuple(
        (item.dataset, item.run_id or "not recorded", texts.number(item.rows), texts.size(item.bytes))
        for item in report.quality.sources
    )
    table = Table("Datasets of this report", ("dataset", "run", "rows", "size"), rows, texts=2)
    words = "Each file that a run has recorded was compared with the size and the hash in its record."
    return Figure("Datasets of this report", words, table, is_wide=True)


def _runs(report: Report) -> list[Chart | Figure]:
    runs = list(reversed(report.quality.runs))
    labels = [texts.short_day(date.fromisoformat(run.started_at[:10])) for run in runs]
    durations = [
        {"x": label, "y": float(run.seconds), "marked": run.status not in {Status.SUCCEEDED, Status.RUNNING}}
        for label, run in zip(labels, runs, strict=True)
    ]
    written = [{"x": label, "y": float(run.bytes)} for label, run in zip(labels, runs, strict=True)]
    rows = tuple(
        (
            run.started_at[:16].replace("T", " "),
            run.status,
            run.run_id,
            texts.number(run.seconds),
            texts.number(run.rows),
            texts.size(run.bytes),
        )
        for run in report.quality.runs
    )
    table = Table("Last runs", ("started (UTC)", "status", "run", "seconds", "rows read", "written"), rows, texts=3)
    bad = sum(bool(point["marked"]) for point in durations)
    what = "the last run" if len(runs) == 1 else f"each of the last {len(runs)} runs"
    return [
        Chart(
            f"Seconds of {what}" + (f": {bad} did not succeed" if bad else ""),
            "By day of their start, in UTC.",
            Drawing("columns", durations),
            table,
            legend="Runs that did not succeed are red." if bad else "",
        ),
        Chart(
            f"Bytes written by {what}",
            "By day of their start, in UTC.",
            Drawing("columns", written),
            Table("Bytes by run", ("started (UTC)", "written"), tuple((row[0], row[5]) for row in rows)),
        ),
    ]
