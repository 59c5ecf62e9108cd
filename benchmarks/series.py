"""All runs of one entrant, as they are kept in the raw figures."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from benchmarks.entrants import Entrant
from benchmarks.environments import versions_of
from benchmarks.measuring import Measurement


@dataclass
class Series:
    """All runs of one entrant, and what the last of them delivered.

    Seconds on the clock, CPU seconds, those of the database server, and the most bytes of memory.
    """

    name: str
    title: str
    group: str
    leaves_out: str
    is_peer: bool
    versions: str
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    server_cpu: list[float] = field(default_factory=list)
    peak: list[int] = field(default_factory=list)
    stages: dict[str, list[float]] = field(default_factory=dict)
    objects: int = 0
    bytes: int = 0
    failure: str = ""

    @classmethod
    def of(cls, entrant: Entrant) -> "Series":
        """An entrant's series, empty yet."""
        versions = versions_of(entrant.requirements) if entrant.requirements else ""
        is_peer = entrant.requirements is not None
        return cls(entrant.name, entrant.title, entrant.group, entrant.leaves_out, is_peer, versions)

    def add(self, found: Measurement, server_cpu: float, stages: Mapping[str, float], sizes: Iterable[int]) -> None:
        """One more run: what it took, in all and by stage, and the sizes of the objects that it delivered."""
        self.seconds.append(found.seconds)
        self.cpu.append(found.cpu)
        self.server_cpu.append(server_cpu)
        self.peak.append(found.peak)
        for name, seconds in stages.items():
            self.stages.setdefault(name, []).append(seconds)
        delivered = tuple(sizes)
        self.objects, self.bytes = len(delivered), sum(delivered)
