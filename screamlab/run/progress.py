"""What is known of a running run, and how it is shown: a live table, or plain lines."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from screamlab.evidence.subjects import ROUTER

PLAIN_EVERY_S = 5.0
REFRESH_S = 0.25


@dataclass
class Progress:
    """The state of a run as far as it has reached the controller; safe to feed from threads."""

    name: str
    step: str = "starting"
    task: str = ""
    record: Mapping[str, Any] | None = None
    streams: dict[str, bool] = field(default_factory=dict)
    dropouts: dict[str, int] = field(default_factory=dict)
    router_cpu: float | None = None
    router_rss: float | None = None
    lost_hosts: set[str] = field(default_factory=set)
    trouble: str = ""
    over: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def feed(self, record: Mapping[str, Any]) -> None:
        """Take in one record of a host's spool."""
        with self.lock:
            subject = str(record.get("subject", ""))
            values = record.get("values", {})
            if subject.startswith("stream/"):
                self.streams[subject] = bool(values.get("heard", self.streams.get(subject, False)))
                self.dropouts[subject] = int(values.get("dropouts", self.dropouts.get(subject, 0)))
            elif subject == ROUTER and values:
                self.router_cpu = values.get("cpu_percent", self.router_cpu)
                self.router_rss = values.get("rss_bytes", self.router_rss)
            self.trouble = _trouble(record) or self.trouble

    def facts(self) -> dict[str, str]:
        """What there is to show, label by label."""
        with self.lock:
            facts = {"step": f"{self.step} · {self.task}" if self.task else self.step}
            if self.record and self.record.get("zero"):
                facts |= self._timeline(self.record)
                up = sum(self.streams.values())
                facts["streams"] = f"{up} of {len(self.streams)} heard"
                facts["dropouts"] = str(sum(self.dropouts.values()))
            if self.router_cpu is not None and self.router_rss is not None:
                facts["router"] = f"{self.router_cpu:.0f} % CPU, {self.router_rss / 2**20:.0f} MiB"
            if self.lost_hosts:
                facts["not followed"] = ", ".join(sorted(self.lost_hosts))
            if self.trouble:
                facts["trouble"] = self.trouble
            return facts

    def _timeline(self, record: Mapping[str, Any]) -> dict[str, str]:
        at_s = time.time() - record["zero"]
        phase = next(
            (p["name"] for p in record["phases"] if p["from_s"] <= at_s < p["to_s"]),
            "waiting" if at_s < 0 else "over",
        )
        remaining_s = max(0.0, record["duration_s"] - at_s)
        return {"phase": phase, "elapsed": _clock(at_s), "remaining": _clock(remaining_s)}


@contextmanager
def showing(name: str, console: Console) -> Iterator[Progress]:
    """Show the progress of what is done within the block."""
    progress = Progress(name)
    display = threading.Thread(target=show, args=(progress, console))
    display.start()
    try:
        yield progress
    finally:
        progress.over.set()
        display.join()


def show(progress: Progress, console: Console) -> None:
    """Show `progress` until it is over."""
    if console.is_terminal:
        with Live(console=console, refresh_per_second=1 / REFRESH_S, transient=True) as live:
            while not progress.over.wait(REFRESH_S):
                live.update(_table(progress))
        return
    shown, shown_at = "", 0.0
    while not progress.over.wait(REFRESH_S):
        facts = progress.facts()
        changed = facts["step"].split(" · ")[0] + facts.get("phase", "") + facts.get("trouble", "")
        if changed != shown or time.monotonic() - shown_at > PLAIN_EVERY_S:
            shown, shown_at = changed, time.monotonic()
            console.print("  ".join(f"{label}: {text}" for label, text in facts.items()),
                          markup=False, highlight=False, soft_wrap=True)  # fmt: skip


def _trouble(record: Mapping[str, Any]) -> str:
    """What one who waits for the end of a run wants to know at once."""
    subject = record.get("subject")
    match record.get("kind"):
        case "worker.failed":
            return f"{record.get('host')}: {subject}: {record.get('error')}"
        case "router.hang":
            return f"the router hangs: {record.get('reason')}"
        case "process.gone" if subject == ROUTER:
            return "the router's process is gone"
        case "process.restarted" if subject == ROUTER:
            return "the router was restarted"
    return ""


def _table(progress: Progress) -> Table:
    table = Table(title=progress.name, show_header=False, title_justify="left", box=None)
    for label, text in progress.facts().items():
        table.add_row(f"[dim]{label}[/]", text)
    return table


def _clock(seconds: float) -> str:
    sign, whole = ("-", int(-seconds)) if seconds < 0 else ("", int(seconds))
    return f"{sign}{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
