"""The lab's own noise floor with forty native streams between two hosts, and nobody to watch it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from labs import ATTEMPTS, Lab, run, verdict_of, wait_for

from screamlab import paths
from screamlab.run.folder import read_record

pytestmark = [pytest.mark.e2e, pytest.mark.quiet]


def orphaned(lab: Lab, run_id: str) -> Path:
    """The folder of a run of null-path whose controller died, collected and judged afterwards."""
    folder = paths.RUNS / run_id
    controller = subprocess.Popen(
        lab.screamlab("run", "null-path", "--run-id", run_id),
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )

    def under_way() -> bool:
        zero = read_record(folder)["zero"] if (folder / "run.json").exists() else None
        return zero is not None and time.time() > zero + 1

    wait_for(under_way, 180)
    os.killpg(controller.pid, signal.SIGKILL)
    controller.wait()
    record = read_record(folder)
    wait_for(lambda: time.time() > record["zero"] + record["duration_s"] + 5, 120)
    collected = lab.playbook("collect", "-e", f"run_id={run_id}")
    assert collected.returncode == 0, collected.stdout[-3000:]
    run([*lab.screamlab("judge", str(folder))[:3]])
    return folder


def test_forty_streams_outlive_the_controller_without_a_dropout(lab: Lab) -> None:
    for attempt in range(ATTEMPTS):
        verdict = verdict_of(orphaned(lab, f"{lab.name}-null-{attempt}"))
        if verdict["verdict"] != "INVALID":
            break
    assert verdict["verdict"] == "PASS", verdict["reason"]
    by_check = {check["id"]: set() for check in verdict["checks"]}
    for check in verdict["checks"]:
        by_check[check["id"]].add(check["status"])
    assert by_check["lab.null_path"] == by_check["lab.agents"] == {"pass"}
