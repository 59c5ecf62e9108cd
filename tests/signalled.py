"""Processes of their own that get real signals while they are in Python, in Polars, or in a wait."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from commands import Ended, end

DEADLINE: Final = 30.0  # seconds within which a command must have ended, on a machine that is busy
PATIENCE: Final = 8.0  # seconds within which what would take for ever ends

# Names for the pieces of work; each takes much longer than any test waits.
WORK: Final = """
import concurrent.futures, os, signal, subprocess, sys, threading, time
from shopease_etl import signal_watch, signals
from shopease_etl.signals import deliver, guarded, held_back, time_limit

def pairs():
    import polars as pl
    many = pl.LazyFrame({"x": pl.int_range(0, 3_000_000, eager=True)})
    return many.join(pl.LazyFrame({"y": pl.int_range(0, 100_000, eager=True)}), how="cross")

def sums():
    import polars as pl
    return pairs().select((pl.col("x") * pl.col("y") % 7).sum())

class Nowhere:
    def write(self, data):
        return len(data)
    def flush(self):
        pass

def collect():
    sums().collect(engine="streaming")

def collect_all():
    import polars as pl
    pl.collect_all([sums(), sums()], engine="streaming")

def sink():
    pairs().sink_csv(Nowhere(), engine="streaming")

def sleep():
    time.sleep(60)

def lock():
    import polars  # whose handler lets a wait go on
    threading.Event().wait()

def future():
    import polars
    concurrent.futures.ThreadPoolExecutor(1).submit(time.sleep, 4).result()

def program():
    import polars
    subprocess.run(["sleep", "60"])

def query():
    import polars, psycopg
    with psycopg.connect(os.environ["URL"]) as connection:
        connection.execute("SELECT pg_sleep(60)")

def once(work):
    # whoever is told twice breaks off while it tidies up
    try:
        ready()
        work()
    finally:
        for _ in range(100_000):
            pass
        print("tidied", flush=True)

def ready():
    print("ready", flush=True)
"""


@contextmanager
def running(script: str, *wrapper: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has said it is ready; Polars gets a moment to be in the middle of its work."""
    command = [*wrapper, sys.executable, "-c", WORK + script]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    ) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "ready\n", end(process)
            time.sleep(1)
            yield process
        finally:
            process.kill()


def interrupted(script: str, *numbers: signal.Signals, **environment: str) -> Ended:
    """How a process ends that gets these signals, half a second apart."""
    with running(script, **environment) as process:
        for order, number in enumerate(numbers):
            time.sleep(0.5 if order else 0)
            process.send_signal(number)
        return end(process, seconds=DEADLINE)
