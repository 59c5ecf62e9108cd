"""On what it was measured: processor, memory, and the versions of what took part."""

import importlib.metadata
import os
import platform
import re
from pathlib import Path


def described() -> dict[str, str]:
    """The processor and how many of its cores this process may use, the memory, the kernel."""
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": found[1].strip() if found else platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{size / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
    }


def versions(*packages: str) -> dict[str, str]:
    """Python's version and those of packages that are installed beside us."""
    return {"Python": platform.python_version(), **{name: importlib.metadata.version(name) for name in packages}}
