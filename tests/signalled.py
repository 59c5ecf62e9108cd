"""Processes of their own that get real signals while they work or wait."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from commands import Ended, end

DEADLINE: Final = 30.0  # seconds within which a process must have ended, on a machine that is busy

# Names for pieces of work; each takes much longer than any test waits. Polars' handler restarts what SIGINT breaks off.
WORK: Final = """
import concurrent.futures, contextlib, os, socket, subprocess, sys, threading, time
import polars
from shopease_etl import cancel, errors
from shopease_etl.source.postgres import connect

def loop():
    while True:
        pass

def sleep():
    time.sleep(60)

def program():
    subprocess.run(["sleep", "60"])

def wait():
    cancel.wait(60)

def future():
    cancel.result(concurrent.futures.Future())

def call():
    cancel.call(socket.create_server(("localhost", 0)).accept)

def query():
    with connect(os.environ["URL"]) as connection:
        connection.execute("SELECT pg_sleep(60)")

def connecting():
    with socket.create_server(("localhost", 0)) as server, connect(
        f"postgresql://x@localhost:{server.getsockname()[1]}/x"
    ):
        pass

def chunks():
    for _ in range(600):
        polars.DataFrame({"x": range(1000)}).sort("x", descending=True)
        time.sleep(0.1)
        cancel.check()

def once(work):
    # whoever is interrupted again while it tidies up does not come to its end
    try:
        ready()
        work()
    finally:
        for _ in range(100_000):
            pass
        cancel.check()
        cancel.wait(0.1)
        print("tidied", flush=True)

def ready():
    print("ready", flush=True)
"""


@contextmanager
def running(script: str, *wrapper: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has said it is ready, and had a moment to go on."""
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
            time.sleep(0.3)
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
