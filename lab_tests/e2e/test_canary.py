"""Faults that are planted into runs of the real router are seen, and nothing else is."""

from __future__ import annotations

import pytest
from labs import Lab, run

pytestmark = [pytest.mark.e2e, pytest.mark.quiet]


@pytest.mark.parametrize("name", ["hang", "sampler-killed"])
def test_a_planted_fault_is_seen_and_nothing_else(lab: Lab, name: str) -> None:
    """The one is the router's fault, the other the lab's."""
    done = run([*lab.screamlab("canary", name), "-e", "screamlab_provision=false"])
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "wrong:" not in done.stdout
