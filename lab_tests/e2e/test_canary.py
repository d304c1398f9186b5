"""A fault planted into a run of the real router over a broken link is seen, and no other."""

from __future__ import annotations

import json

import pytest
from labs import ATTEMPTS, PROVISIONED, Lab, run

from screamlab import paths
from screamlab.canary.command import RECORD
from screamlab.run.record import read_record

pytestmark = [pytest.mark.e2e, pytest.mark.quiet]

NAME = "impairment-not-as-asked"


def test_a_link_that_is_not_broken_as_asked_is_seen_and_is_clean_afterwards(lab: Lab) -> None:
    # A machine may stall meanwhile.
    for _ in range(ATTEMPTS):
        done = run(lab.screamlab("canary", NAME, *PROVISIONED))
        if done.returncode == 0:
            break
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "wrong:" not in done.stdout
    record = read_record(paths.RUNS / json.loads(RECORD.read_text())[NAME]["run_id"])
    assert record["impaired"]
    assert set(map(tuple, record["clean"].values())) == {()}
