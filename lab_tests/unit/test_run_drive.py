"""What the events of a playbook say of why a run could not be carried out."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from screamlab import paths
from screamlab.run.drive import Playbook
from screamlab.run.record import was_refused, write_infra


@pytest.mark.parametrize(("role", "refused"), [("lab_lock", True), ("router", False)])
def test_a_run_whose_hosts_somebody_else_has_is_refused(
    tmp_path: Path, role: str, refused: bool
) -> None:
    job = Playbook(Path("inventory"), {})
    told = {"role": role, "host": "router1", "res": {"msg": "taken by root on elsewhere"}}
    job._handle({"event": "runner_on_failed", "event_data": told}, None)
    assert (job.first_failure, job.refused) == ("router1: taken by root on elsewhere", refused)
    write_infra(tmp_path, job.first_failure, refused=job.refused)
    assert was_refused(tmp_path) is refused


def test_a_run_that_was_not_stopped_was_not_refused(tmp_path: Path) -> None:
    assert was_refused(tmp_path) is False


def test_one_that_is_interrupted_ends_with_all_its_processes(tmp_path: Path) -> None:
    run_id = f"interrupted-{os.getpid()}"
    with socket.create_server(("127.0.0.1", 0)) as mute:
        inventory = tmp_path / "inventory.json"
        inventory.write_text(json.dumps(behind(mute.getsockname()[1])))
        run = [Path(sys.executable).parent / "screamlab", "run", "null-path", "--run-id", run_id]
        controller = subprocess.Popen(
            [*run, "--inventory", inventory], stdout=subprocess.PIPE, stderr=subprocess.PIPE
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
    assert (controller.returncode, b"interrupted" in said) == (130, True)
    commands = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    assert not [command for command in commands if str(inventory) in command]


def behind(port: int) -> dict[str, object]:
    """An inventory of two hosts behind one port of this machine."""

    def host(number: int) -> dict[str, object]:
        data = {"device": "d0", "address": f"127.9.9.{number}/24", "pool": f"127.9.{number}.0/24"}
        return {"ansible_host": "127.0.0.1", "ansible_port": port, "screamlab_data": data}

    groups = {"routers": {"hosts": {"r1": host(1)}}, "clients": {"hosts": {"c1": host(2)}}}
    return {"all": {"children": groups}}
