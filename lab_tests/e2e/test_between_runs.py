"""What is done to a lab between runs: provisioned again, taken up again, refused."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from labs import BIN, INTERRUPTED, Lab, orphan, provisioned, run, verdict_of

from screamlab import paths
from screamlab.evidence.bundle import Bundle
from screamlab.run.record import read_record

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A provisioned lab of a router and two clients."""
    with provisioned(tmp_path_factory.mktemp("lab"), "between", 170) as lab:
        yield lab


def test_a_second_provisioning_changes_nothing(lab: Lab) -> None:
    for step in ("up", "provision"):
        said = lab.play(step)
        changed = re.findall(r"changed=(\d+)", said)
        assert changed
        assert set(changed) == {"0"}, said[-6000:]


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
        refused = run(lab.runs("null-path", f"{lab.name}-taken"))
        assert refused.returncode == 4, refused.stdout[-2000:] + refused.stderr
        assert "taken by root on elsewhere since 20" in refused.stdout.splitlines()[-1]
    finally:
        assert lock("free").returncode == 0
    # What that playbook had taken before it was refused holds nobody up: its process is gone.
    lab.play("lock")


def test_a_router_version_that_does_not_exist_is_one_sentence(lab: Lab) -> None:
    run_id = f"{lab.name}-noversion"
    version = ["--set", "router.version=0.0.999"]
    done = run(lab.screamlab("run", "tc-stress-001", "--run-id", run_id, *version))
    assert done.returncode == 4
    assert "0.0.999" in done.stdout.splitlines()[-1]
    assert verdict_of(paths.RUNS / run_id)["verdict"] == "INFRA"


def test_a_host_that_is_down_is_named(tmp_path: Path) -> None:
    inventory = two_hosts(
        tmp_path,
        "127.9.9.1",
        1,
        ansible_user="root",
        ansible_ssh_common_args="-o ConnectTimeout=2",
    )
    run_id = f"down-{os.getpid()}"
    done = run([*Lab("", 0).screamlab("run", "tc-stress-001")[:3], "--inventory", inventory,
                "--run-id", run_id])  # fmt: skip
    assert done.returncode == 4
    assert re.search(r"(r1|c1): the host is down", done.stdout.splitlines()[-1])


def test_a_run_that_is_interrupted_ends_with_all_its_processes(tmp_path: Path) -> None:
    run_id = f"interrupted-{os.getpid()}"
    with socket.create_server(("127.0.0.1", 0)) as mute:
        inventory = two_hosts(tmp_path, *mute.getsockname())
        command = [BIN / "screamlab", "run", "null-path", "--run-id", run_id]
        controller = subprocess.Popen(
            [*command, "--inventory", inventory], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            asked, _ = mute.accept()
            controller.send_signal(signal.SIGINT)
            said = controller.communicate(timeout=60)[1]
            asked.close()
        finally:
            controller.kill()
            shutil.rmtree(paths.RUNS / run_id, ignore_errors=True)
            (paths.RUNS / f".{run_id}.log").unlink(missing_ok=True)
    assert (controller.returncode, b"interrupted" in said) == (INTERRUPTED, True)
    commands = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    assert not [command for command in commands if str(inventory) in command]


def two_hosts(folder: Path, address: str, port: int, **variables: str) -> Path:
    """An inventory of a router and a client that SSH would find at one address and port."""

    def host(number: int) -> dict[str, object]:
        data = {"device": "d0", "address": f"127.9.9.{number}/24", "pool": f"127.9.{number}.0/24"}
        return {"ansible_host": address, "ansible_port": port, "screamlab_data": data}

    groups = {"routers": {"hosts": {"r1": host(1)}}, "clients": {"hosts": {"c1": host(2)}}}
    inventory = folder / "hosts.json"
    inventory.write_text(json.dumps({"all": {"vars": variables, "children": groups}}))
    return inventory
