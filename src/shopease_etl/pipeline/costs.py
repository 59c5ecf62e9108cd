"""What a lake on AWS costs, from real sizes and the prices that the settings tell.

A GB is 10^9 bytes, a TB 10^12, a query's least charge 10 MiB: the dearer readings of AWS's price lists. Sources:
https://aws.amazon.com/s3/pricing/, https://aws.amazon.com/glue/pricing/ (a crawl is charged for ten minutes at least;
its example has two DPUs), https://aws.amazon.com/athena/pricing/ (a query is charged for 10 MB at least).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Final

from shopease_etl.report import Scan
from shopease_etl.wording import counted

PRICES_TOLD: Final = (
    "Prices are the settings SHOPEASE_PRICE_…, by default those of us-east-1 in AWS's lists:\n"
    "  https://aws.amazon.com/s3/pricing/, .../glue/pricing/, .../athena/pricing/"
)
LEAST_CHARGED_BYTES: Final = 10 << 20
CRAWLER_DPUS: Final = 2
LEAST_CRAWL_HOURS: Final = 1 / 6
# A run's manifest is written after each stage, when it publishes and at its end; the journal of what it publishes once.
SMALL_OBJECTS: Final = 7
_GB: Final = 1e9
_TB: Final = 1e12


@dataclass(frozen=True)
class Prices:
    """Dollars for a GB in S3 for a month, 1,000 writing requests, a crawler's DPU-hour, and a TB scanned."""

    s3_gb_month: float
    s3_1000_puts: float
    glue_dpu_hour: float
    athena_tb: float

    def storage(self, size: int) -> float:
        """A month of so many bytes in S3."""
        return size / _GB * self.s3_gb_month

    def uploads(self, sizes: Iterable[int]) -> float:
        """A run's requests that write objects of these sizes in parts: each begun, its parts sent, completed."""
        # it comes with boto3, which is slow to import
        from shopease_etl.lake.multipart import PART_BYTES

        requests = sum(max(1, ceil(size / PART_BYTES)) + 2 for size in (*sizes, *(1,) * SMALL_OBJECTS))
        return requests / 1_000 * self.s3_1000_puts

    def crawl(self) -> float:
        """One short crawl of one crawler."""
        return LEAST_CRAWL_HOURS * CRAWLER_DPUS * self.glue_dpu_hour

    def scan(self, charged: int) -> float:
        """So many charged bytes on Athena."""
        return charged / _TB * self.athena_tb


@dataclass(frozen=True)
class CostLine:
    """One thing that is paid for in a month; `basis` tells what was reckoned with."""

    name: str
    basis: str
    dollars: float


@dataclass(frozen=True)
class MonthlyCost:
    """What a lake costs in a month."""

    location: str
    lines: tuple[CostLine, ...]
    dollars: float


def monthly(
    location: str,
    sizes: Mapping[str, tuple[int, ...]],
    prices: Prices,
    *,
    layers: Iterable[str],
    runs: int,
    crawlers: int,
    crawls: int,
    queries: int,
) -> MonthlyCost:
    """A month with so many runs, crawls, and queries that read a whole layer; `sizes` are of objects, by folder."""
    lines = [
        CostLine(f"storage {name}", f"{sum(found) / 1e6:,.1f} MB", prices.storage(sum(found)))
        for name, found in sizes.items()
    ]
    written = [size for name in layers for size in sizes.get(name, ())]
    lines.append(
        CostLine(
            "uploads",
            f"{counted(len(written) + SMALL_OBJECTS, 'object')}, {counted(runs, 'run')}",
            runs * prices.uploads(written),
        )
    )
    each = crawlers * prices.crawl()
    basis = f"{counted(crawls, 'crawl')} of {counted(crawlers, 'crawler')}, {dollars(each)} each time"
    lines.append(CostLine("crawlers", basis, crawls * each))
    for name in layers:
        charged = max(sum(sizes.get(name, ())), LEAST_CHARGED_BYTES)
        basis = f"{counted(queries, 'query', 'queries')} of {charged / 1e6:,.1f} MB each"
        lines.append(CostLine(f"queries {name}", basis, queries * prices.scan(charged)))
    return MonthlyCost(location, tuple(lines), sum(line.dollars for line in lines))


def told(scan: Scan, athena_tb: float) -> str:
    """What statements scanned and cost, for a person."""
    cost = dollars(scan.charged / _TB * athena_tb)
    return f"Scanned {scan.bytes / 1e6:,.1f} MB, charged {scan.charged / 1e6:,.1f} MB: {cost} at ${athena_tb:g} a TB"


def dollars(amount: float) -> str:
    """An amount with the digits that matter, small as it may be."""
    return f"${amount:,.2f}" if amount >= 1 or not amount else f"${amount:.2g}" if amount >= 0.001 else f"${amount:.6f}"
