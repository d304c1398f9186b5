"""Links that are broken by hand, and every way in which they become whole again."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from labs import BIN, PROVISIONED, WITH_WAN, Lab, run, standing, wait_for

from screamlab import paths
from screamlab.impair.tc import ROOT
from screamlab.run.record import read_record

pytestmark = pytest.mark.e2e

FOR_S = 35
SHORT_S = 25


@dataclass(frozen=True)
class Impairment:
    """One by hand that breaks the link of client1, on the host where this machine does so."""

    lab: Lab
    run_id: str
    host: str

    def says(self, *words: str) -> str:
        """What a command prints there as root; nothing when the host is not reached."""
        command = ["-b", "-m", "ansible.builtin.command", "-a", " ".join(words)]
        done = run([BIN / "ansible", self.host, *self.lab.variables, *command])
        return done.stdout if done.returncode == 0 else ""

    def at_work(self) -> bool | None:
        """Whether the lab's qdisc is there; None when the host is not reached."""
        shown = self.says("tc", "qdisc", "show")
        return ROOT in shown if "qdisc" in shown else None

    def wait_until_clean(self, seconds: float) -> None:
        """Wait until the host is reached and nothing of the lab's is there."""
        deadline = time.monotonic() + seconds
        while self.at_work() is not False:
            assert time.monotonic() < deadline, "the network is still broken"
            # Asking costs as much as a second of the tests beside this one.
            time.sleep(4)

    def screamlab(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of screamlab on this lab."""
        return run(self.lab.screamlab(*arguments))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab with agents and no more, for that is all that breaks and heals links."""
    with standing(tmp_path_factory.mktemp("lab"), "hand", 180, clients=1) as lab:
        lab.play("up", *WITH_WAN)
        hosts = ["routers:clients:impairment_points", "--playbook-dir", "playbooks"]
        role = ["-m", "ansible.builtin.include_role", "-a", "name=agent"]
        done = run([BIN / "ansible", *hosts, *lab.variables, *role])
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr
        yield lab


@pytest.fixture
def impaired(lab: Lab, request: pytest.FixtureRequest) -> Impairment:
    """One that is at work; one more can follow however it came to an end."""
    wanted = ["--hosts", "client1", "--for", f"{getattr(request, 'param', FOR_S)}s"]
    done = run(lab.screamlab("impair", "transatlantic", *wanted, *PROVISIONED))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "heals by itself" in " ".join(done.stdout.split())
    (run_id,) = set(re.findall(r"\d{8}-\d{6}-impair-transatlantic", done.stdout))
    (host,) = read_record(paths.RUNS / run_id)["hosts"]
    impairment = Impairment(lab, run_id, host)
    assert impairment.at_work()
    return impairment


def test_heal_ends_it_early_and_says_what_it_found(impaired: Impairment) -> None:
    healed = impaired.screamlab("heal")
    assert healed.returncode == 0, healed.stdout + healed.stderr
    assert f"{impaired.host}: agent screamlab-{impaired.run_id}.service" in healed.stdout
    assert impaired.at_work() is False
    assert f"{impaired.host}: nothing to heal" in impaired.screamlab("heal").stdout


def test_a_killed_agent_leaves_a_clean_network(impaired: Impairment) -> None:
    impaired.says("systemctl", "kill", "-s", "KILL", f"screamlab-{impaired.run_id}.service")
    impaired.wait_until_clean(FOR_S)


@pytest.mark.parametrize("impaired", [SHORT_S], indirect=True)
def test_without_ssh_the_network_heals_all_the_same(impaired: Impairment) -> None:
    back = ["systemd-run", f"--on-active={SHORT_S + 5}", "systemctl", "start", "ssh"]
    impaired.says(*back)
    impaired.says("systemctl", "stop", "ssh")
    impaired.wait_until_clean(SHORT_S + 60)
    # A connection that is kept outlives the server, without which a virtual host is started anew.
    wait_for(lambda: "\nactive" in impaired.says("systemctl", "is-active", "ssh"), 60)


def test_a_host_that_dies_comes_back_healed_and_is_refused_until_it_is_shown_clean(
    impaired: Impairment,
) -> None:
    impaired.says("systemd-run", "--on-active=1", "systemctl", "reboot", "--force", "--force")
    impaired.wait_until_clean(90)
    refused = impaired.screamlab("impair", "lan", "--hosts", "client1", "--for", "5s", *PROVISIONED)
    assert refused.returncode == 4, refused.stdout + refused.stderr
    assert "not shown clean" in refused.stderr
    assert impaired.screamlab("heal").returncode == 0
