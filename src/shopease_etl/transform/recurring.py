"""Plans that are made once and carried out on one frame after the other."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import narwhals.stable.v2 as nw
import polars as pl

Frame = nw.LazyFrame[Any]
Build = Callable[[Frame], Sequence[Frame]]


class Recurring:
    """What `build` makes of a frame, for many frames of the same columns and types; several threads may call it.

    To make a plan of Narwhals' expressions takes longer than to carry it out on a few rows, and the interpreter does
    nothing else meanwhile.
    """

    def __init__(self, build: Build) -> None:
        self._build = build
        self._of_thread = threading.local()

    def __call__(self, frame: pl.DataFrame) -> list[pl.DataFrame]:
        """The results for one frame.

        Raises:
            PolarsError: a value does not fit its type.
        """
        if not hasattr(self._of_thread, "plans"):
            self._of_thread.plans = _Plans.of(self._build, frame.schema)
        plans: _Plans = self._of_thread.plans
        return plans.results(frame)


@dataclass
class _Plans:
    """The plans of one thread; each reads the frame that is there when they are carried out."""

    plans: Sequence[pl.LazyFrame] = ()
    frame: pl.DataFrame | None = None

    @classmethod
    def of(cls, build: Build, schema: pl.Schema) -> "_Plans":
        """Plans for frames of this schema."""
        made = cls()
        source = pl.LazyFrame(schema=schema).map_batches(lambda _: made.taken(), schema=schema)
        made.plans = [plan.to_native() for plan in build(nw.from_native(source))]
        return made

    def taken(self) -> pl.DataFrame:
        """The frame that is worked on."""
        if self.frame is None:
            message = "there is no frame"
            raise ValueError(message)
        return self.frame

    def results(self, frame: pl.DataFrame) -> list[pl.DataFrame]:
        """What the plans make of the frame."""
        self.frame = frame
        try:
            return pl.collect_all(self.plans)
        finally:
            self.frame = None
