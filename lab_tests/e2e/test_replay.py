"""A network profile replayed in a running lab and measured: given as asked, and gone afterwards."""

from __future__ import annotations

import pytest
from labs import Lab

from screamlab.run.record import read_record

pytestmark = [pytest.mark.e2e, pytest.mark.quiet]


def test_a_link_is_broken_as_asked_and_shown_clean_afterwards(lab: Lab) -> None:
    # The host that breaks links may be new.
    short = ["--set", "phases.baseline.seconds=6", "--set", "phases.replay.seconds=15"]
    record = read_record(lab.passed("replay", "replay", *short, "-e", "screamlab_provision=true"))
    assert record["impaired"]
    assert set(map(tuple, record["clean"].values())) == {()}
