"""What the display of a running run tells of what reaches it."""

from __future__ import annotations

import json

import pytest

from screamlab.run.progress import Progress

HOST = '{"t":1795760447.577278,"host":"router1",'
HANG = (
    HOST + '"kind":"router.hang","subject":"router","reason":"/api/stats stands still while'
    ' audio arrives","silent_s":8.0,"pid":225,"files":["stacks-py-spy-134.txt"]}'
)
GONE = HOST + '"kind":"process.gone","subject":"process/router","pid":225}'
FAILED = HOST + '"kind":"worker.failed","subject":"churn-routes","code":1,"error":"it is odd"}'


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (HANG, "the router hangs: /api/stats stands still while audio arrives"),
        (GONE, "the router's process is gone"),
        (FAILED, "router1: churn-routes: it is odd"),
    ],
)
def test_trouble_is_told_at_once_and_stays(line: str, told: str) -> None:
    progress = Progress("run")
    progress.feed(json.loads(line))
    progress.feed({"subject": "process/router", "values": {"cpu_percent": 9, "rss_bytes": 2**20}})
    assert progress.facts()["trouble"] == told


def test_a_client_that_goes_is_no_trouble() -> None:
    progress = Progress("run")
    progress.feed(json.loads(GONE.replace("process/router", "process/rtp-01")))
    assert "trouble" not in progress.facts()
