"""One local lab of its own for the end-to-end tests, beside any other on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest
from labs import Lab

from screamlab import paths

SUBNET = 190


@pytest.fixture(scope="session", autouse=True)
def awake(request: pytest.FixtureRequest) -> Iterator[None]:
    """Keep the processors from sleeping while sound is judged, with what nobody else wants of them.

    A virtual machine that idles is woken late by a busy hypervisor, and with it the router's
    mixers: seen as time stolen from a machine that had half of it free.
    """
    if not any(item.get_closest_marker("quiet") for item in request.session.items):
        yield
        return
    idle = [
        subprocess.Popen(
            [sys.executable, "-c", "while True: pass"],
            preexec_fn=lambda: os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0)),
        )
        for _ in range(os.cpu_count() or 1)
    ]
    yield
    for process in idle:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A provisioned lab of a router and two clients for the whole session; gone afterwards."""
    if os.geteuid() != 0:
        pytest.skip("hosts in namespaces need root")
    inventory = tmp_path_factory.mktemp("lab") / "inventory"
    shutil.copytree(paths.CHECKOUT / "inventory" / "local", inventory)
    hosts = inventory / "hosts.yml"
    hosts.write_text(hosts.read_text().replace("client[1:4]", "client[1:2]"))
    lab = Lab(f"e2e{os.getpid()}", SUBNET, inventory)
    try:
        for step in ("up", "provision"):
            done = lab.playbook(step)
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
        yield lab
    finally:
        down = lab.playbook("down")
        assert down.returncode == 0, down.stdout[-3000:] + down.stderr[-1000:]
