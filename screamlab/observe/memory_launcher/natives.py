"""All allocations under memray, those of the engine among them."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from .recorder import Recorder
from .tools import Tool, short

RAW, DIGEST = "memray.bin", "memray.jsonl"
FRAMES = 30
"""Of each stack, at most."""

INTERPRETER = (
    "Objects/", "Python/", "Modules/", "Parser/", "./Include/", "./Modules/", "<frozen runpy>",
)  # fmt: skip
"""What CPython is built from; its frames lie between all others."""


class Memray(Tool):
    """All allocations, native ones too; what is alive at each interval is told when it ends."""

    def prepare(self) -> list[str]:
        self.memray = importlib.import_module("memray")
        self.raw = self.options.folder / RAW
        self.raw.unlink(missing_ok=True)
        self.tracker: Any = None
        return []

    def begin(self) -> None:
        self.tracker = self.memray.Tracker(
            self.raw,
            native_traces=bool(self.options.native),
            memory_interval_ms=int(1000 * self.options.interval),
        )
        self.tracker.__enter__()

    def own_bytes(self) -> int:
        return self.raw.stat().st_size if self.raw.exists() else 0

    def look(self) -> dict[str, Any]:
        if self.tracker is None:
            return {}
        self.tracker.__exit__(None, None, None)
        self.tracker = None
        # In a process of its own: reading takes the GIL for long, and native frames much memory.
        command = [
            "nice",
            "-n19",
            sys.executable,
            str(Path(__file__).parent),
            f"--folder={self.options.folder}",
        ]
        done = subprocess.run([*command, "--digest"], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"memray's file cannot be read: {done.stderr.strip()[-300:]}")
        return {}


def digest(folder: Path) -> None:
    """Tell what memray recorded: bytes alive by traceback, at each of its own snapshots."""
    memray = importlib.import_module("memray")
    recorder = Recorder(folder / DIGEST)
    with memray.FileReader(folder / RAW) as reader:
        times = [snapshot.time / 1000 for snapshot in reader.get_memory_snapshots()]
        alive: list[Counter[str]] = [Counter() for _ in times]
        for record in reader.get_temporal_allocation_records(merge_threads=True):
            name = _name(_stack(record))
            for interval in record.intervals if name else ():
                end = interval.deallocated_before_snapshot
                until = len(times) if end is None else min(end, len(times))
                for at in range(interval.allocated_before_snapshot, until):
                    alive[at][name] += interval.n_bytes
    for at_s, values in zip(times, alive, strict=True):
        recorder.snapshot(dict(values), t=round(at_s, 3))


def _stack(record: Any) -> list[tuple[str, str, int]]:
    """Function, file and line of each frame, the innermost first."""
    try:
        return record.hybrid_stack_trace(max_stacks=FRAMES)
    except NotImplementedError:
        return record.stack_trace(max_stacks=FRAMES)


def _name(stack: list[tuple[str, str, int]]) -> str:
    """The program's part of a stack, in a line; empty for what is the watch's own."""
    own = str(Path(__file__).parent)
    told = []
    for function, file, line in stack:
        if file.startswith(own):
            if function == "watch":
                return ""
            break
        if not file.startswith(INTERPRETER):
            told.append(f"{function} {short(file)}:{line}")
    return " < ".join(told)
