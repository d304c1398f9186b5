"""One local lab of its own for the end-to-end tests, beside any other on this machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from labs import Lab

from screamlab import paths
from screamlab.agent import processors

SUBNET = 190


@pytest.fixture(scope="session", autouse=True)
def awake() -> Iterator[None]:
    """Hold the processors awake, as a run of the local lab does, for tests without one."""
    with processors.held(0 if processors.DEVICE.exists() else None):
        yield


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A provisioned lab of a router and two clients for the whole session; gone afterwards."""
    if os.geteuid() != 0:
        pytest.skip("hosts in namespaces need root")
    inventory = tmp_path_factory.mktemp("lab") / "inventory"
    shutil.copytree(paths.CHECKOUT / "inventory" / "local", inventory)
    hosts = inventory / "hosts.yml"
    hosts.write_text(hosts.read_text().replace("client[1:4]", "client[1:2]"))
    # A process of xdist's has a lab of its own.
    subnet = SUBNET + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    lab = Lab(f"e2e{os.getpid()}", subnet, inventory)
    try:
        for step in ("up", "provision"):
            done = lab.playbook(step)
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
        yield lab
    finally:
        down = lab.playbook("down")
        assert down.returncode == 0, down.stdout[-3000:] + down.stderr[-1000:]
