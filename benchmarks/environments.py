"""Environments beside the tool's own: each is installed once, with the versions that a list of requirements names."""

import subprocess
import sys
from pathlib import Path


class NotInstalledError(Exception):
    """A list that cannot be installed on this machine; its text is the reason."""


def programs_of(requirements: Path, folder: Path) -> Path:
    """The folder of programs of an environment, which is made below `folder` when missing or when its list changed.

    Raises:
        NotInstalledError: with the last thing that pip said.
    """
    wanted = requirements.read_text()
    environment, done = folder / requirements.stem, folder / f"{requirements.stem}.done"
    if not done.exists() or done.read_text() != wanted:
        _run([sys.executable, "-m", "venv", "--clear", environment])
        pip: list[str | Path] = [environment / "bin" / "python", "-m", "pip", "--disable-pip-version-check"]
        _run([*pip, "install", "--quiet", "--requirement", requirements])
        done.write_text(wanted)
    return environment / "bin"


def versions_of(requirements: Path) -> str:
    """What the list names, on one line."""
    return ", ".join(line.replace("==", " ") for line in requirements.read_text().splitlines() if line[:1] != "#")


def _run(command: list[str | Path]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        told = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise NotInstalledError(told[-1] if told else f"exit code {done.returncode}")
