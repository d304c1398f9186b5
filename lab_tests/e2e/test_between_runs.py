"""What is done to a lab between runs: broken by hand and healed, provisioned again, refused."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from labs import BIN, Lab, orphan, run, verdict_of

from screamlab import paths
from screamlab.evidence.bundle import Bundle
from screamlab.impair.tc import ROOT
from screamlab.run.folder import read_record

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
            time.sleep(1)

    def screamlab(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of screamlab on this lab."""
        return run(self.lab.screamlab(*arguments))


@pytest.fixture
def impaired(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Impairment]:
    """One that is at work; healed afterwards."""
    lasts = f"{getattr(request, 'param', FOR_S)}s"
    done = run(lab.screamlab("impair", "transatlantic", "--hosts", "client1", "--for", lasts))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "heals by itself" in " ".join(done.stdout.split())
    try:
        (run_id,) = set(re.findall(r"\d{8}-\d{6}-impair-transatlantic", done.stdout))
        (host,) = read_record(paths.RUNS / run_id)["hosts"]
        impairment = Impairment(lab, run_id, host)
        assert impairment.at_work()
        yield impairment
    finally:
        healed = run(lab.screamlab("heal"))
    assert healed.returncode == 0, healed.stdout + healed.stderr


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


def test_a_host_that_dies_comes_back_healed_and_is_refused_until_it_is_shown_clean(
    impaired: Impairment,
) -> None:
    impaired.says("systemd-run", "--on-active=1", "systemctl", "reboot", "--force", "--force")
    impaired.wait_until_clean(90)
    refused = impaired.screamlab("impair", "lan", "--hosts", "client1", "--for", "5s")
    assert refused.returncode == 4, refused.stdout + refused.stderr
    assert "not shown clean" in refused.stderr
    assert impaired.screamlab("heal").returncode == 0


def test_a_second_provisioning_changes_nothing(lab: Lab) -> None:
    for step in ("up", "provision"):
        done = lab.playbook(step)
        assert done.returncode == 0, done.stdout[-3000:]
        changed = re.findall(r"changed=(\d+)", done.stdout)
        assert changed
        assert set(changed) == {"0"}, done.stdout[-6000:]


def test_a_host_that_reboots_rejoins_and_the_hole_is_told(lab: Lab) -> None:
    run_id = f"{lab.name}-reboot"
    long = ["phases.null-path.seconds=30", "senders.rtp.count=2", "senders.scream.count=2"]
    options = [word for setting in long for word in ("--set", setting)]
    folder = orphan(lab, run_id, "null-path", *options)
    down = ["-b", "-m", "ansible.builtin.command", "-a", "systemctl reboot"]
    run([BIN / "ansible", "client2", *lab.variables, *down])
    attached = run(lab.screamlab("attach", str(folder)))
    assert attached.returncode == 3, attached.stdout[-2000:] + attached.stderr
    verdict = verdict_of(folder)
    told = {c["subject"]: c for c in verdict["checks"] if c["id"] == "lab.agents"}
    assert told["client1"]["status"] == "pass"
    assert "rebooted 1 times" in told["client2"]["reason"]
    with Bundle(folder) as bundle:
        t = bundle.series("host", "cpu_percent")["client2", "host"].t
    assert max(t[1:] - t[:-1]) > 1.5, "the hole is in the series"
    assert t[-1] > read_record(folder)["zero"] + 25, "and after it the host was there again"


def test_hosts_that_somebody_has_are_refused_and_their_holder_is_told(lab: Lab) -> None:
    holder = {"token": "x", "run_id": "", "user": "root", "controller": "elsewhere"}

    def lock(state: str) -> subprocess.CompletedProcess[str]:
        asked = json.dumps({"holder": holder, "state": state})
        return run(
            [BIN / "ansible", "client1", *lab.variables, "-b", "-m", "lab_lock", "-a", asked]
        )

    assert lock("held").returncode == 0
    try:
        refused = lab.playbook("provision")
        assert refused.returncode != 0
        told = " ".join(refused.stdout.split())
        assert "taken by root on elsewhere since 20" in told and "work by hand" in told
    finally:
        assert lock("free").returncode == 0
    # What that playbook had taken before it was refused holds nobody up: its process is gone.
    taken = lab.playbook("lock")
    assert taken.returncode == 0, taken.stdout[-3000:]


def test_a_router_version_that_does_not_exist_is_one_sentence(lab: Lab) -> None:
    run_id = f"{lab.name}-noversion"
    version = ["--set", "router.version=0.0.999"]
    done = run(lab.screamlab("run", "tc-stress-001", "--run-id", run_id, *version))
    assert done.returncode == 4
    assert "0.0.999" in done.stdout.splitlines()[-1]
    assert verdict_of(paths.RUNS / run_id)["verdict"] == "INFRA"


def test_a_host_that_is_down_is_named(tmp_path: Path) -> None:
    hosts = {
        "all": {
            "vars": {"ansible_user": "root", "ansible_ssh_common_args": "-o ConnectTimeout=2"},
            "children": {
                "routers": {"hosts": {"r1": absent(1)}},
                "clients": {"hosts": {"c1": absent(2)}},
            },
        }
    }
    inventory = tmp_path / "hosts.json"
    inventory.write_text(json.dumps(hosts))
    run_id = f"down-{os.getpid()}"
    done = run([*Lab("", 0).screamlab("run", "tc-stress-001")[:3], "--inventory", inventory,
                "--run-id", run_id])  # fmt: skip
    assert done.returncode == 4
    assert re.search(r"(r1|c1): the host is down", done.stdout.splitlines()[-1])


def absent(number: int) -> dict[str, object]:
    data = {"device": "d0", "address": f"127.9.9.{number}/24", "pool": f"127.9.{number}.0/24"}
    return {"ansible_host": f"127.9.9.{number}", "ansible_port": 1, "screamlab_data": data}
