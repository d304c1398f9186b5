"""One of each kind of client, heard through the real router, and nobody to watch it."""

from __future__ import annotations

from pathlib import Path

import pytest
from labs import Lab, verdict_of

from screamlab.evidence.bundle import Bundle
from screamlab.scenario.clients import KINDS
from screamlab.scenario.plan import read_plan

pytestmark = [pytest.mark.e2e, pytest.mark.quiet]

# Those that tc-stress-001 has at its quick scale, and the one whose place here takes the page.
ELSEWHERE = {"native", "gstreamer", "sipp", "aiortc", "chromium"}


@pytest.fixture(scope="module")
def judged(lab: Lab) -> Path:
    """The folder of one run of each-client that outlived its controller, and ended PASS."""
    return lab.passed("each-client", "each", interrupted=True)


def test_every_kind_of_client_that_is_not_in_the_main_job_took_part(judged: Path) -> None:
    played = {w.kind for file in judged.glob("plans/*.json") for w in read_plan(file).workers}
    for client, kind in KINDS.items():
        if client not in ELSEWHERE:
            assert {worker for worker in (kind.sender, kind.receiver) if worker} <= played, client


def test_every_stream_was_heard(judged: Path) -> None:
    checks = verdict_of(judged)["checks"]
    heard = {one["subject"]: one["status"] for one in checks if one["id"] == "audio.heard"}
    assert len(heard) == 7
    assert set(heard.values()) == {"pass"}


def test_the_routers_page_played_and_the_report_shows_it(judged: Path) -> None:
    with Bundle(judged) as bundle:
        told = [event["kind"] for event in bundle.events("page.")]
    assert {"page.opened", "page.playing", "page.heard"} <= set(told)
    assert '<img alt="page-01 on client' in (judged / "report.html").read_text()
