"""What is done to a lab between runs: provisioned again, taken up again, refused."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from labs import BIN, Lab, orphan, run, verdict_of

from screamlab import paths
from screamlab.evidence.bundle import Bundle
from screamlab.run.record import read_record

pytestmark = pytest.mark.e2e


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
