"""AWS's prices, and what a run's uploads, crawls and queries cost.

A GB is 10^9 bytes, a TB 10^12, a query's minimum charge 10 MiB: the more expensive readings of AWS's price lists.
Sources: https://aws.amazon.com/s3/pricing/, https://aws.amazon.com/glue/pricing/ (a crawl is charged for at least ten
minutes; the example there has two DPUs), https://aws.amazon.com/athena/pricing/ (at least 10 MB a query),
https://aws.amazon.com/emr/pricing/ (EMR Serverless: Linux on x86).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil
from typing import Final

from shopease_etl.report import Scan

PRICE_SOURCES: Final = (
    "Prices are the settings SHOPEASE_PRICE_…, by default those of us-east-1 in AWS's lists:\n"
    "  https://aws.amazon.com/s3/pricing/, .../glue/pricing/, .../athena/pricing/"
)
MIN_CHARGED_BYTES: Final = 10 << 20
# A run writes its manifest after each stage, when it publishes and at its end, and one journal of what it publishes.
SMALL_OBJECTS: Final = 7


@dataclass(frozen=True)
class Prices:
    """Dollars for a GB in S3 for a month, 1,000 writing requests, a crawler's DPU-hour, a TB scanned, and an hour of a
    vCPU and of a GB of memory on EMR Serverless.
    """

    s3_gb_month: float
    s3_1000_puts: float
    glue_dpu_hour: float
    athena_tb: float
    emr_vcpu_hour: float
    emr_gb_hour: float

    def storage(self, size: int) -> float:
        """A month of this many bytes in S3."""
        return size / 1e9 * self.s3_gb_month

    def uploads(self, sizes: Iterable[int]) -> float:
        """A run's requests that write objects of these sizes in parts: to begin each, send its parts, complete it."""
        # it imports boto3, which is slow
        from shopease_etl.lake.multipart import PART_BYTES

        requests = sum(max(1, ceil(size / PART_BYTES)) + 2 for size in (*sizes, *(1,) * SMALL_OBJECTS))
        return requests / 1_000 * self.s3_1000_puts

    def crawl(self) -> float:
        """One short crawl of one crawler: two DPUs for ten minutes."""
        return 2 / 6 * self.glue_dpu_hour

    def scan(self, charged: int) -> float:
        """This many charged bytes on Athena."""
        return charged / 1e12 * self.athena_tb

    def job(self, vcpu_hours: float, gb_hours: float) -> float:
        """A job on EMR Serverless, without storage beyond the 20 GB of each worker that are free."""
        return vcpu_hours * self.emr_vcpu_hour + gb_hours * self.emr_gb_hour


def describe_scan(scan: Scan, athena_tb: float) -> str:
    """What statements scanned and cost, for a person; `athena_tb` is the price of a TB in dollars."""
    cost = dollars(scan.charged / 1e12 * athena_tb)
    return f"Scanned {scan.bytes / 1e6:,.1f} MB, charged {scan.charged / 1e6:,.1f} MB: {cost} at ${athena_tb:g} a TB"


def dollars(amount: float) -> str:
    """An amount with the digits that matter, however small it is."""
    return f"${amount:,.2f}" if amount >= 1 or not amount else f"${amount:.2g}" if amount >= 0.001 else f"${amount:.6f}"
