"""The processes of the agent's workers: each has its worker's name, and its clients below it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

# A process's name has no more characters, proc_pid_comm(5).
_COMM = 15


def take_name(name: str) -> None:
    """Give this process a worker's name, as far as it fits."""
    Path("/proc/self/comm").write_text(name)


def worker_pids(agent: int, name: str) -> list[int]:
    """A worker of the agent with that process number, and all processes below the worker."""
    for child in _children(agent):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{child}/comm").read_text().rstrip("\n") == name[:_COMM]:
                return [child, *descendants(child)]
    return []


def descendants(pid: int) -> list[int]:
    found = []
    for child in _children(pid):
        found += [child, *descendants(child)]
    return found


def _children(pid: int) -> list[int]:
    """The children of all threads of a process (proc_pid_task(5)); none when it is gone."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    return found
