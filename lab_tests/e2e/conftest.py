"""One local lab of its own for the end-to-end tests, beside any other on this machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from labs import WITH_WAN, Lab, provisioned

from screamlab.agent import processors


@pytest.fixture(scope="session", autouse=True)
def awake() -> Iterator[None]:
    """Hold the processors awake, as a run of the local lab does, for tests without one."""
    with processors.held(0 if processors.DEVICE.exists() else None):
        yield


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A provisioned lab of a router and two clients for the whole session; gone afterwards.

    It begins with the host that breaks links; the first run that breaks none takes that down.
    """
    with provisioned(tmp_path_factory.mktemp("lab"), "e2e", 190, *WITH_WAN) as lab:
        yield lab
