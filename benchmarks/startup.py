"""CPU time of help and completion in multiples of bare Python's start, rounds interleaved: what else runs slows all."""

import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Final

ROUNDS: Final = 30
SHOPEASE: Final = str(Path(sys.executable).with_name("shopease"))
BASH: Final = {"_SHOPEASE_COMPLETE": "complete_bash", "COMP_WORDS": "shopease\nex", "COMP_CWORD": "1"}
TYPED: Final = {"_TYPER_COMPLETE_ARGS": "shopease run-all --w", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
COMMANDS: Final[dict[str, tuple[list[str], dict[str, str]]]] = {
    "bare Python": ([sys.executable, "-c", "pass"], {}),
    "import typer": ([sys.executable, "-c", "import typer"], {}),
    "completion, bash": ([SHOPEASE], BASH),
    "completion, zsh": ([SHOPEASE], {"_SHOPEASE_COMPLETE": "complete_zsh", **TYPED}),
    "completion, fish": ([SHOPEASE], {"_SHOPEASE_COMPLETE": "complete_fish", **TYPED}),
    "--version": ([SHOPEASE, "--version"], {}),
    "--help": ([SHOPEASE, "--help"], {}),
    "run-all --help": ([SHOPEASE, "run-all", "--help"], {}),
}


def cpu_seconds(command: list[str], environment: dict[str, str]) -> float:
    """User and system time of the process."""
    process = subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command} failed")
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Print the medians."""
    rounds = [{name: cpu_seconds(*each) for name, each in COMMANDS.items()} for _ in range(ROUNDS + 1)]
    medians = {name: statistics.median(each[name] for each in rounds[1:]) for name in COMMANDS}
    for name, seconds in medians.items():
        print(f"{name:18}{seconds * 1000:7.1f} ms{seconds / medians['bare Python']:7.2f}")


if __name__ == "__main__":
    main()
