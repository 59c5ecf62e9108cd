"""`shopease sample`: a database for trying the pipeline."""

from pathlib import Path
from typing import Annotated

import typer

from shopease_etl.cli import options
from shopease_etl.cli.context import CommandContext
from shopease_etl.cli.tabular import Grid


def sample(
    context: CommandContext,
    dump: options.Dump,
    scale: Annotated[float, typer.Option(help="Size factor; 1 = about 1 million sales.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Random seed; the same seed gives the same file.")] = 2024,
    dirty: Annotated[float, typer.Option(help="Share of dirty rows; above 0, every kind occurs.")] = 0.01,
) -> None:
    """Write a realistic ShopEase database as a plain-text dump, with some dirty rows.

    Example: shopease sample sales.sql --scale 0.1 --dirty 0.02
    """
    from shopease_etl.sample import write_sample

    console = context.console
    result = write_sample(Path(dump), scale=scale, seed=seed, dirty=dirty, progress=console.progress)
    console.result(result, lambda: Grid(("table", "rows"), result.tables), f"wrote {result.path}")
    console.message(f"Wrote {result.path}, {result.bytes / 1e6:,.1f} MB. Next: shopease restore {result.path}")
