"""A fault that is planted into a run of the real router is seen, and nothing else is."""

from __future__ import annotations

import pytest
from labs import PROVISIONED, Lab, run

pytestmark = [pytest.mark.e2e, pytest.mark.quiet]


def test_a_router_that_stands_still_is_seen_and_nothing_else(lab: Lab) -> None:
    done = run(lab.screamlab("canary", "hang", *PROVISIONED))
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "wrong:" not in done.stdout
