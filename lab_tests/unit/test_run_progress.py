"""What the display of a running run tells of what reaches it."""

from __future__ import annotations

import pytest

from screamlab.run.progress import Progress

HANG = {
    "t": 1795760447.577278, "host": "router1", "kind": "router.hang", "subject": "router",
    "reason": "/api/stats stands still while audio arrives", "silent_s": 8.0, "pid": 225,
    "files": ["stacks-py-spy-134.txt", "stacks-gdb-134.txt"],
}  # fmt: skip
GONE = {"host": "router1", "kind": "process.gone", "subject": "process/router", "pid": 225}
RESTARTED = {**GONE, "kind": "process.restarted", "pid": 311}
FAILED = {
    "host": "client1",
    "kind": "worker.failed",
    "subject": "churn-routes",
    "error": "it is odd",
}


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (HANG, "the router hangs: /api/stats stands still while audio arrives"),
        (GONE, "the router's process is gone"),
        (RESTARTED, "the router was restarted"),
        (FAILED, "client1: churn-routes: it is odd"),
    ],
)
def test_trouble_is_told_at_once_and_stays(event: dict[str, object], told: str) -> None:
    progress = Progress("run")
    progress.feed(event)
    progress.feed({"subject": "process/router", "values": {"cpu_percent": 9, "rss_bytes": 2**20}})
    assert progress.facts()["trouble"] == told


def test_a_client_that_goes_is_no_trouble() -> None:
    progress = Progress("run")
    progress.feed({**GONE, "subject": "process/rtp-01"})
    assert "trouble" not in progress.facts()
