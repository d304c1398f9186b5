"""A router that hangs: the stacks of all its threads, taken before anybody can end it.

py-spy tells what every Python thread does, gdb(1) what every thread does in the engine. Both read
the process from outside; neither needs it to move, and both let go of it when they end or die. A
process under Valgrind tells by itself, asked by vgdb.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from screamlab.agent.context import WorkerContext
from screamlab.observe.tools import GDB, PY_SPY, VGDB, Tool

HANG_S = 8.0
"""The API must not have answered, or its counters not moved, for this long."""

AT_MOST = 3
"""Hangs of one run that are looked into."""

TOOLS = (PY_SPY, GDB)


def stacks(pid: int, directory: Path, stamp: str) -> dict[str, Any]:
    """Write ``stacks-<tool>-<stamp>.txt`` for every tool; the names of files, and what went wrong.

    Takes seconds, at most 45 for each tool; the process does not run while gdb looks at it.
    """
    files: list[str] = []
    errors: list[str] = []
    for tool in _tools(pid):
        file = directory / f"stacks-{tool.name}-{stamp}.txt"
        error = tool.take(file, pid=pid)
        if error:
            errors.append(f"{tool.name}: {error}")
        if file.exists():
            files.append(file.name)
    return {"files": files, **({"error": "; ".join(errors)} if errors else {})}


def _tools(pid: int) -> tuple[Tool, ...]:
    """Those that can look into a process."""
    with contextlib.suppress(OSError):
        if "/valgrind/" in os.readlink(f"/proc/{pid}/exe"):
            return (VGDB,)
    return TOOLS


class HangWatch:
    """Told of every poll, looks into the process once it has hung for `after_s`.

    Writes ``router.hang`` (subject ``router``) with what is wrong, since when, and the files that
    hold the stacks, at most `at_most` times, and once per hang. `pid` finds the process.
    """

    def __init__(
        self,
        context: WorkerContext,
        pid: Callable[[], int | None],
        *,
        after_s: float = HANG_S,
        at_most: int = AT_MOST,
    ) -> None:
        self._context = context
        self._pid = pid
        self._after_s = after_s
        self._left = at_most
        self._moved_at = time.monotonic()
        self._told = False
        self._looking: threading.Thread | None = None

    def moved(self) -> None:
        """The API answered, with counters that are of now."""
        self._moved_at = time.monotonic()
        self._told = False

    def stood(self, error: str) -> None:
        """It did not, for the reason `error`."""
        silent_s = time.monotonic() - self._moved_at
        if silent_s < self._after_s or self._told or not self._left:
            return
        self._told = True
        self._left -= 1
        self._looking = threading.Thread(target=self._look, args=(error, silent_s), name="stacks")
        self._looking.start()

    def close(self) -> None:
        """Wait for stacks that are being taken."""
        if self._looking is not None:
            self._looking.join()

    def _look(self, error: str, silent_s: float) -> None:
        fields: dict[str, Any] = {"reason": error, "silent_s": round(silent_s, 1)}
        pid = None
        with contextlib.suppress(Exception):
            pid = self._pid()
        if pid is None:
            fields["error"] = "it has no process"
        else:
            stamp = f"{self._context.now_s():.0f}"
            fields.update(pid=pid, **stacks(pid, self._context.directory, stamp))
        self._context.spool.event("router.hang", "router", **fields)
