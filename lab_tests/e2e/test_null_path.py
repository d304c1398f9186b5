"""The lab's own noise floor with forty native streams between two hosts, and nobody to watch it."""

from __future__ import annotations

import signal

import pytest
from labs import ATTEMPTS, Lab, orphan, run, verdict_of

pytestmark = [pytest.mark.e2e, pytest.mark.quiet]

SHORT = ["--set", "phases.null-path.seconds=15"]


def test_forty_streams_outlive_the_controller_without_a_dropout(lab: Lab) -> None:
    for attempt in range(ATTEMPTS):
        run_id = f"{lab.name}-null-{attempt}"
        folder = orphan(lab, run_id, "null-path", *SHORT, by=signal.SIGINT)
        attached = run(lab.screamlab("attach", str(folder)))
        verdict = verdict_of(folder)
        assert attached.stdout.splitlines()[-1].startswith(verdict["verdict"])
        if verdict["verdict"] != "INVALID":
            break
    assert verdict["verdict"] == "PASS", verdict["reason"]
    by_check = {check["id"]: set() for check in verdict["checks"]}
    for check in verdict["checks"]:
        by_check[check["id"]].add(check["status"])
    assert by_check["lab.null_path"] == by_check["lab.agents"] == {"pass"}
