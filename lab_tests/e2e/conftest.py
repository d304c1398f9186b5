"""One local lab of its own for the end-to-end tests, beside any other on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from labs import Lab

SUBNET = 190


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A provisioned lab for the whole session; gone afterwards."""
    if os.geteuid() != 0:
        pytest.skip("hosts in namespaces need root")
    lab = Lab(f"e2e{os.getpid()}", SUBNET)
    try:
        for step in ("up", "provision"):
            done = lab.playbook(step)
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
        yield lab
    finally:
        down = lab.playbook("down")
        assert down.returncode == 0, down.stdout[-3000:] + down.stderr[-1000:]
