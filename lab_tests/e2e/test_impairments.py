"""Links broken in a running lab: measured, healed whoever dies, and refused where not clean."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from labs import BIN, Lab, run

from screamlab.impair.tc import ROOT
from screamlab.run.folder import read_record

pytestmark = pytest.mark.e2e

FOR_S = 60
SHORT_S = 25


@dataclass(frozen=True)
class Point:
    """The host on which the link of client1 is broken, wherever this machine has it."""

    lab: Lab
    host: str

    def says(self, *words: str) -> str:
        """What a command prints there as root; nothing when the host is not reached."""
        command = ["-b", "-m", "ansible.builtin.command", "-a", " ".join(words)]
        done = run([BIN / "ansible", self.host, *self.lab.variables, *command])
        return done.stdout if done.returncode == 0 else ""

    def broken(self) -> bool | None:
        """Whether the lab's qdisc is there; None when the host is not reached."""
        shown = self.says("tc", "qdisc", "show")
        return ROOT in shown if "qdisc" in shown else None

    def wait_until_clean(self, seconds: float) -> None:
        """Wait until the host is reached and nothing of the lab's is there."""
        deadline = time.monotonic() + seconds
        while self.broken() is not False:
            assert time.monotonic() < deadline, "the network is still broken"
            time.sleep(1)

    def screamlab(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of screamlab on this lab."""
        return run(self.lab.screamlab(*arguments))


@pytest.fixture(scope="module")
def point(lab: Lab) -> Point:
    """Where links are broken, after a run that did so and ended PASS and clean."""
    record = read_record(lab.passed("replay", "replay", "--set", "phases.replay.seconds=15"))
    assert record["impaired"]
    assert set(map(tuple, record["clean"].values())) == {()}
    return Point(lab, record["hosts"]["client1"]["point"]["host"])


@pytest.fixture
def impaired(point: Point, request: pytest.FixtureRequest) -> Iterator[str]:
    """The run id of an impairment by hand that is at work; healed afterwards."""
    lasts = f"{getattr(request, 'param', FOR_S)}s"
    done = point.screamlab("impair", "transatlantic", "--hosts", "client1", "--for", lasts)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "heals by itself" in " ".join(done.stdout.split())
    assert point.broken()
    yield re.findall(r"\d{8}-\d{6}-impair-transatlantic", done.stdout)[0]
    healed = point.screamlab("heal")
    assert healed.returncode == 0, healed.stdout + healed.stderr


def test_heal_ends_it_early_and_says_what_it_found(point: Point, impaired: str) -> None:
    healed = point.screamlab("heal")
    assert healed.returncode == 0, healed.stdout + healed.stderr
    assert f"{point.host}: agent screamlab-{impaired}.service" in healed.stdout
    assert point.broken() is False
    assert f"{point.host}: nothing to heal" in point.screamlab("heal").stdout


def test_a_killed_agent_leaves_a_clean_network(point: Point, impaired: str) -> None:
    point.says("systemctl", "kill", "-s", "KILL", f"screamlab-{impaired}.service")
    point.wait_until_clean(FOR_S)


@pytest.mark.parametrize("impaired", [SHORT_S], indirect=True)
def test_without_ssh_the_network_heals_all_the_same(point: Point, impaired: str) -> None:
    back = ["systemd-run", f"--on-active={SHORT_S + 5}", "systemctl", "start", "ssh"]
    point.says(*back)
    point.says("systemctl", "stop", "ssh")
    point.wait_until_clean(SHORT_S + 60)


def test_a_host_that_dies_comes_back_healed_and_is_refused_until_it_is_shown_clean(
    point: Point, impaired: str
) -> None:
    point.says("systemd-run", "--on-active=1", "systemctl", "reboot", "--force", "--force")
    point.wait_until_clean(90)
    refused = point.screamlab("impair", "lan", "--hosts", "client1", "--for", "5s")
    assert refused.returncode == 4, refused.stdout + refused.stderr
    assert "not shown clean" in refused.stderr
    assert point.screamlab("heal").returncode == 0
