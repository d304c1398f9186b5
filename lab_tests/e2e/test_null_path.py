"""The lab's own noise floor with forty native streams between two hosts."""

from __future__ import annotations

import json

import pytest
from labs import Lab, run

from screamlab import paths

pytestmark = pytest.mark.e2e


def test_forty_streams_pass_the_null_path_without_a_dropout(lab: Lab) -> None:
    run_id = f"{lab.name}-null"
    done = run(lab.screamlab("run", "null-path", "--run-id", run_id))
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    verdict = json.loads((paths.RUNS / run_id / "verdict.json").read_text())
    floor = [check for check in verdict["checks"] if check["id"] == "lab.null_path"]
    assert floor
    assert all(check["status"] == "pass" for check in floor)
