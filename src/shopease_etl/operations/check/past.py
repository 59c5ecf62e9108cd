"""What the last runs tell of the next: how much it will write, and how long it will read."""

import itertools
from dataclasses import dataclass
from typing import Final

from shopease_etl.lake.manifests import manifests
from shopease_etl.lake.store import Store
from shopease_etl.operations.status import run_status
from shopease_etl.report import RunStatus, Status

_RUNS: Final = 20


@dataclass
class Past:
    """The last whole run, as far as it is known: the bytes that it wrote, and the seconds that its extract took.

    `last` is the last run, however it ended.
    """

    last: RunStatus | None = None
    bytes: int = 0
    extract_seconds: float | None = None

    def learn(self, store: Store) -> None:
        """Read it from the last run that extracted and succeeded; UnreachableError where the lake cannot be read."""
        for manifest in itertools.islice(manifests(store), _RUNS):
            self.last = self.last or run_status(manifest)
            if manifest.run.status == Status.SUCCEEDED and "extract" in manifest.run.stages:
                stages = manifest.document["stages"]
                seconds = next(stage.get("seconds") for stage in stages if stage["name"] == "extract")
                self.extract_seconds = seconds if isinstance(seconds, int | float) else None
                self.bytes = sum(int(item["bytes"]) for stage in stages for item in stage["datasets"])
                return
