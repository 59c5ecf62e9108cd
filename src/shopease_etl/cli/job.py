"""What a job on EMR Serverless runs: a command, whose exit code it says in its log."""

import os
import sys

from shopease_etl import cancel
from shopease_etl.errors import INTERRUPTED_EXIT_CODE
from shopease_etl.operations.emr.logs import EXIT_CODE


def main() -> None:
    """Run the command that the job's arguments name, and end with its exit code."""
    try:
        cancel.install()
        from shopease_etl.cli import run_command

        code = run_command()
    except KeyboardInterrupt:
        code = INTERRUPTED_EXIT_CODE
    os.write(sys.stderr.fileno(), f"{EXIT_CODE}{code}\n".encode())
    os._exit(code)
