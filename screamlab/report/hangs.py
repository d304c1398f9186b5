"""Where a router stood when it hung, from the stacks that were taken of it."""

from __future__ import annotations

from dataclasses import dataclass

from screamlab.evidence.stacks import Thread, waiting_for_locks
from screamlab.judge.samples import Event
from screamlab.judge.view import Run


@dataclass(frozen=True)
class Hang:
    """One ``router.hang``; `files` are in the host's folder of the run."""

    at_s: float
    silent_s: float
    reason: str
    error: str
    files: tuple[str, ...]
    threads: tuple[Thread, ...]


def hangs(run: Run) -> list[Hang]:
    """Every hang that was looked into, with the threads that wait for locks."""
    return [_hang(run, event) for event in run.events("router.hang")]


def _hang(run: Run, event: Event) -> Hang:
    folder = run.bundle.path / "hosts" / event.host
    files = tuple(str(name) for name in event.fields.get("files", ()))
    threads = [
        thread
        for name in files
        if "gdb" in name and (folder / name).is_file()
        for thread in waiting_for_locks((folder / name).read_text(errors="replace"))
    ]
    return Hang(
        at_s=event.at_s,
        silent_s=float(event.fields.get("silent_s", 0.0)),
        reason=str(event.fields.get("reason", "")),
        error=str(event.fields.get("error", "")),
        files=files,
        threads=tuple(threads),
    )
