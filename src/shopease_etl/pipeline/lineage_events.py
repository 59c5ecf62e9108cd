"""A run's events in OpenLineage's terms: the run, its stages as child runs, what they read and wrote.

A stage is reported complete when the run has ended: only then is it known whether readers see what it wrote.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import NAMESPACE_OID, UUID, uuid5

from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState, set_producer
from openlineage.client.facet_v2 import (
    DatasetFacet,
    InputDatasetFacet,
    RunFacet,
    data_quality_assertions_dataset,
    error_message_run,
    input_statistics_input_dataset,
    job_type_job,
    lifecycle_state_change_dataset,
    output_statistics_output_dataset,
    parent_run,
    processing_engine_run,
    schema_dataset,
    tags_run,
)

from shopease_etl import __version__
from shopease_etl.contract import layout
from shopease_etl.contract.tables import TABLES
from shopease_etl.lake.store import Store
from shopease_etl.pipeline.events import Event
from shopease_etl.pipeline.plan import Plan
from shopease_etl.redaction import Secrets
from shopease_etl.report import DatasetResult, RunResult, SourceInfo, StageResult, by_dataset
from shopease_etl.source.postgres import parameters
from shopease_etl.source.session import Source

NAMESPACE: Final = "shopease"
PRODUCER: Final = f"urn:shopease:etl:{__version__}"

_MAY_BE_BY_MONTH: Final = {layout.dataset_of(key) for table in TABLES if table.month_column for key in table.keys}
_ENDS: Final = {
    "run_succeeded": RunState.COMPLETE,
    "run_failed": RunState.FAIL,
    "run_interrupted": RunState.ABORT,
}


class Translation:
    """The OpenLineage events of one run of a plan."""

    def __init__(self, plan: Plan, lake: Store, source: Source, secrets: Secrets) -> None:
        set_producer(PRODUCER)
        self._plan = plan
        self._lake = lake
        self._source = source
        self._secrets = secrets
        self._job = plan.command
        self._run = UUID(int=0)
        self._begun: dict[str, str] = {}
        self._done: dict[str, str] = {}
        self._months: dict[str, int] = {}

    def of(self, event: Event) -> Iterator[RunEvent]:
        """The event as OpenLineage has it; a dataset is part of its stage."""
        time = _time(event.time)
        # a retry goes on under the same run id; to OpenLineage, whose runs end once, it is another run
        self._run = uuid5(NAMESPACE_OID, f"{NAMESPACE}/{event.run_id}/{event.attempt}")
        if event.kind == "run_started":
            yield self._of_run(RunState.START, event, {})
        elif event.kind == "stage_started" and event.stage:
            yield self._begin(event.stage, time)
        elif event.kind == "stage_done" and event.stage:
            self._done[event.stage] = time
            self._learn(event.result.datasets if event.result else ())
        elif event.run:
            yield from self._end(event, event.run, _ENDS[event.kind])

    def _begin(self, stage: str, time: str) -> RunEvent:
        self._begun[stage] = time
        inputs = [] if stage == "extract" else [self._input(key) for key in self._reads(stage)]
        return self._of_stage(RunState.START, stage, time, inputs=inputs)

    def _end(self, event: Event, run: RunResult, state: RunState) -> Iterator[RunEvent]:
        time = _time(event.time)
        for stage in run.stages:
            self._learn(stage.datasets)
        results = [item for stage in run.stages for item in by_dataset(stage.datasets)]
        written = {self._name_of(item.key): item for item in results}
        for stage in run.stages:
            if stage.name not in self._begun:  # a retry found it done
                yield self._begin(stage.name, time)
            yield self._end_stage(stage, run, written, self._done.get(stage.name, time))
        failure = _failure(self._secrets.redacted(event.error)) if event.error else {}
        for name in [name for name in self._begun if name not in {stage.name for stage in run.stages}]:
            yield self._of_stage(state, name, time, facets=failure)
        yield self._of_run(state, event, failure)

    def _end_stage(
        self, stage: StageResult, run: RunResult, written: Mapping[str, DatasetResult], time: str
    ) -> RunEvent:
        """A stage that is done; it has no outputs if the run was not published."""
        if not run.published:
            return self._of_stage(RunState.ABORT, stage.name, time)
        outputs = [self._output(item) for item in by_dataset(stage.datasets) if item.run_id is None]
        return self._of_stage(
            RunState.COMPLETE, stage.name, time, inputs=self._inputs(stage, run.source, written), outputs=outputs
        )

    def _inputs(
        self, stage: StageResult, source: SourceInfo | None, written: Mapping[str, DatasetResult]
    ) -> list[InputDataset]:
        if stage.name == "extract":
            return [self._source_table(name, rows, source) for name, rows in source.tables.items()] if source else []
        results = {item.name: item for item in by_dataset(stage.datasets) if item.layer != layout.QUARANTINE}
        steps = [step for step in self._plan.steps() if step.stage == stage.name]
        read_alone = {self._name_of(step.reads[0]): results.get(step.dataset) for step in steps if len(step.reads) == 1}
        return [self._input(key, written.get(key), read_alone.get(key)) for key in self._reads(stage.name)]

    def _reads(self, stage: str) -> list[str]:
        keys = (key for step in self._plan.steps() if step.stage == stage for key in step.reads)
        return list(dict.fromkeys(map(self._name_of, keys)))

    def _learn(self, results: Sequence[DatasetResult]) -> None:
        """Note how many months each dataset has, 0 if it is one file."""
        months = Counter(layout.dataset_of(item.key) for item in results if layout.month_of(item.key))
        self._months |= {folder: months[folder] for folder in (layout.dataset_of(item.key) for item in results)}

    def _name_of(self, key: str) -> str:
        """The key of a dataset's only object, or the folder of its months; as the run left it, or else as it is now."""
        folder = layout.dataset_of(key)
        if folder in _MAY_BE_BY_MONTH and folder not in self._months:
            self._months[folder] = sum(layout.month_of(item.key) is not None for item in self._lake.list(f"{folder}/"))
        return folder if self._months.get(folder) else key

    def _files(self, key: str) -> int:
        return self._months.get(layout.dataset_of(key)) or 1

    def _input(
        self, key: str, written: DatasetResult | None = None, output: DatasetResult | None = None
    ) -> InputDataset:
        """An object that was read, with its result in this run, and that of its only `output`."""
        facets: dict[str, InputDatasetFacet] = {}
        rows = written.rows_out if written else output.rows_in if output else None
        if rows is not None:
            facets["inputStatistics"] = input_statistics_input_dataset.InputStatisticsInputDatasetFacet(
                rowCount=rows, size=written.bytes if written else None, fileCount=self._files(key)
            )
        if output and output.rejected:
            facets["dataQualityAssertions"] = data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(
                [_assertion(rule, count) for rule, count in output.rejected.items()]
            )
        return InputDataset(*self._named(key), inputFacets=facets)

    def _output(self, item: DatasetResult) -> OutputDataset:
        overwritten = lifecycle_state_change_dataset.LifecycleStateChangeDatasetFacet(
            lifecycle_state_change_dataset.LifecycleStateChange.OVERWRITE
        )
        statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
            rowCount=item.rows_out, size=item.bytes, fileCount=self._files(item.key)
        )
        return OutputDataset(
            *self._named(self._name_of(item.key)),
            facets={"lifecycleStateChange": overwritten},
            outputFacets={"outputStatistics": statistics},
        )

    def _named(self, key: str) -> tuple[str, str]:
        """Namespace and name of an object of the lake, as OpenLineage's naming has them."""
        scheme, _, place = (uri := self._lake.uri(key)).partition("://")
        if not place:
            return "file", uri
        authority, _, path = place.partition("/")
        return f"{scheme}://{authority}", path.lstrip("/")

    def _source_table(self, name: str, rows: int, source: SourceInfo) -> InputDataset:
        facets: dict[str, DatasetFacet] = {}
        if columns := source.columns.get(name):
            fields = [schema_dataset.SchemaDatasetFacetFields(column, kind) for column, kind in columns.items()]
            facets["schema"] = schema_dataset.SchemaDatasetFacet(fields)
        statistics = input_statistics_input_dataset.InputStatisticsInputDatasetFacet(rowCount=rows)
        return InputDataset(
            f"postgres://{_host_and_port(self._source.last_url, source)}",
            f"{source.database}.{self._source.schema}.{name}",
            facets=facets,
            inputFacets={"inputStatistics": statistics},
        )

    def _of_run(self, state: RunState, event: Event, facets: Mapping[str, RunFacet]) -> RunEvent:
        tags = tags_run.TagsRunFacet([tags_run.TagsRunFacetFields("shopease_run_id", event.run_id, "SHOPEASE")])
        job = Job(NAMESPACE, self._job, facets={"jobType": _job_type("PIPELINE")})
        run = Run(str(self._run), facets={"processing_engine": _engine(), "tags": tags, **facets})
        return RunEvent(eventTime=_time(event.time), run=run, job=job, eventType=state)

    def _of_stage(
        self,
        state: RunState,
        stage: str,
        time: str,
        *,
        inputs: list[InputDataset] | None = None,
        outputs: list[OutputDataset] | None = None,
        facets: Mapping[str, RunFacet] | None = None,
    ) -> RunEvent:
        parent = parent_run.ParentRunFacet(parent_run.Run(str(self._run)), parent_run.Job(NAMESPACE, self._job))
        run_facets = {"processing_engine": _engine(), "parent": parent, **(facets or {})}
        run = Run(str(uuid5(self._run, stage)), facets=run_facets)
        job = Job(NAMESPACE, f"{self._job}.{stage}", facets={"jobType": _job_type("STAGE")})
        return RunEvent(eventTime=time, run=run, job=job, eventType=state, inputs=inputs or [], outputs=outputs or [])


def _assertion(rule: str, count: int) -> data_quality_assertions_dataset.Assertion:
    """A rule of cleaning: rows that break it go to quarantine, and the run goes on."""
    return data_quality_assertions_dataset.Assertion(
        assertion=rule, success=not count, severity="warn", expected="0", actual=str(count)
    )


def _failure(message: str) -> dict[str, RunFacet]:
    return {"errorMessage": error_message_run.ErrorMessageRunFacet(message, "PYTHON")}


def _engine() -> RunFacet:
    return processing_engine_run.ProcessingEngineRunFacet(__version__, NAMESPACE)


def _job_type(kind: str) -> job_type_job.JobTypeJobFacet:
    return job_type_job.JobTypeJobFacet(processingType="BATCH", integration="SHOPEASE", jobType=kind)


def _host_and_port(url: str | None, source: SourceInfo) -> str:
    """Where the database answered; of several ports that of its host, of a socket this machine."""
    named = parameters(url) if url else {}
    hosts, ports = (
        (named.get(name) or os.environ.get(variable, default)).split(",")
        for name, variable, default in (("host", "PGHOST", ""), ("port", "PGPORT", "5432"))
    )
    at = hosts.index(source.host) if source.host in hosts and len(hosts) == len(ports) else 0
    return f"{'localhost' if source.host.startswith('/') else source.host}:{ports[at] or 5432}"


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
