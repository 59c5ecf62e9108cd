"""The head of the report, and its section about the data."""

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
        facts.append(("Sales", f"{texts.day(report.sales.first)} to {texts.day(report.sales.last)}"))
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
        blocks += [_tables(report), _rules(report)]
    if report.reconciliation:
        blocks.append(_reconciliation(report))
    blocks.append(_sources(report))
    if report.quality.runs:
        blocks += _runs(report)
    intro = "Every row that is copied is either in the clean data or rejected with a reason; nothing is lost silently."
    return Section("data", "Data quality", intro, blocks=blocks)


def _tables(report: Report) -> Figure:
    rows = tuple(
        (
            table.table,
            texts.number(table.rows_in),
            texts.number(table.rows_out),
            texts.number(table.rows_rejected),
            texts.percentage(table.rejected_percent),
        )
        for table in report.quality.tables
    )
    table = Table("Rows by table", ("table", "rows in", "rows out", "rejected", "share"), rows)
    return Figure("Rows by table", "Rows in are those copied from the database.", table)


def _rules(report: Report) -> Figure:
    rows = tuple(
        (table.table, texts.label(rule), texts.number(count))
        for table in report.quality.tables
        for rule, count in table.rejected.items()
    )
    words = "Rejected rows are kept in quarantine, with all they had." if rows else "No row was rejected."
    return Figure(
        "Rejected rows by rule", words, Table("Rejected rows by rule", ("table", "rule", "rows"), rows, texts=2)
    )


def _reconciliation(report: Report) -> Figure:
    sums = report.reconciliation.sums if report.reconciliation else {}
    names = sorted({name.rpartition("_")[0] for name in sums if name.endswith(("_revenue", "_transactions", "_rows"))})
    without = sorted({name.partition("_without_")[2] for name in sums if "_without_" in name})

    def cells(prefix: str, suffix: str) -> tuple[str, ...]:
        return tuple(
            texts.number(value) if (value := sums.get(f"{prefix}{what}{suffix}")) is not None else ""
            for what in ("transactions", "revenue", "rows")
        )

    rows = [(texts.label(name), *cells(f"{name}_", "")) for name in names]
    rows += [(f"sales without {texts.label(name)}", *cells("", f"_without_{name}")) for name in without]
    words = (
        "Totals as the run compared them. A dataset and the sales that it cannot have add up to silver, to the cent."
    )
    table = Table("Reconciliation", ("total of", "sales", "revenue", "rows"), tuple(rows))
    return Figure("Reconciliation", words, table)


def _sources(report: Report) -> Figure:
    rows = tuple(
        (item.dataset, item.run_id or "not recorded", texts.number(item.rows), texts.size(item.bytes))
        for item in report.quality.sources
    )
    table = Table("Datasets of this report", ("dataset", "run", "rows", "size"), rows, texts=2)
    return Figure("Datasets of this report", "Each was compared with the hash that its run recorded.", table)


def _runs(report: Report) -> list[Chart | Figure]:
    runs = list(reversed(report.quality.runs))
    labels = [f"{run.started_at[5:10]}" for run in runs]
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
    finding = "all succeeded" if not bad else f"{bad} did not succeed"
    return [
        Chart(
            f"Seconds of the last {counted(len(runs), 'run')}: {finding}",
            "Runs that did not succeed have another colour." if bad else "By day of their start, in UTC.",
            Drawing("columns", durations),
            table,
        ),
        Chart(
            f"Bytes written by the last {counted(len(runs), 'run')}",
            "By day of their start, in UTC.",
            Drawing("columns", written),
            Table("Bytes by run", ("started (UTC)", "written"), tuple((row[0], row[5]) for row in rows)),
        ),
    ]
