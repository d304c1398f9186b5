"""How late real-time threads run: on this machine as it is, and with a processor taken away."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

import pytest

from screamlab.agent.context import WorkerContext
from screamlab.evidence.spool import Spool, read_lines
from screamlab.inject import worker
from screamlab.inject.fault import Place
from screamlab.observe import wakeups

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="real-time threads need root")

BUSY_MS = 120
HOG = {
    "kind": "hog", "busy_ms": BUSY_MS, "every_ms": 300,
    "name": "h", "phase": "hold", "at_seconds": 0, "for_seconds": 1,
}  # fmt: skip
PLACE = Place(agent="a.service", device="data0", router="https://198.19.0.10:8443")


def context(folder: Path, name: str, to_s: float) -> WorkerContext:
    spool = Spool(folder, writer=name, host="router1")
    return WorkerContext(name, "router1", time.time(), 0.0, to_s, spool, folder)


def watched(folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The events and the series of some moments."""
    wakeups.run({"interval_s": 0.2}, context(folder, "w", 0.8))
    return tuple(read_lines(folder / f"{kind}-w.jsonl").records for kind in ("events", "series"))


def test_every_processor_is_watched_all_the_time(tmp_path: Path) -> None:
    (tmp_path / "events-w.jsonl").touch()
    before = os.sched_getscheduler(0)
    _, series = watched(tmp_path)
    for number in os.sched_getaffinity(0):
        own = [line for line in series if line["subject"] == f"processor/{number}"]
        assert len(own) >= 3
        assert all(line["values"]["wakeup_late_max_ms"] >= 0 for line in own)
    assert os.sched_getscheduler(0) == before


def test_a_processor_that_is_taken_away_is_seen(tmp_path: Path) -> None:
    at = context(tmp_path, "h", 1.0)
    planting = multiprocessing.get_context("fork").Process(
        target=worker.run, args=({"fault": HOG, "place": PLACE.model_dump()}, at)
    )
    planting.start()
    events, _ = watched(tmp_path)
    planting.join()
    taken = f"processor/{min(os.sched_getaffinity(0))}"
    late = [event["late_ms"] for event in events if event["subject"] == taken]
    assert {event["kind"] for event in events} == {"processor.late"}
    assert BUSY_MS - 1e3 * wakeups.TICK_S - 10 <= max(late) < 3 * BUSY_MS


def test_where_there_is_to_be_no_such_thread_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    (tmp_path / "series-w.jsonl").touch()
    events, series = watched(tmp_path)
    assert {(e["kind"], e["error"]) for e in events} == {
        ("processor.refused", "Operation not permitted")
    }
    assert series == []
