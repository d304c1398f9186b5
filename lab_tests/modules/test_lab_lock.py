"""The lock of a host: real files, real processes, and every way in which a holder can be gone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from screamlab.paths import CHECKOUT
from screamlab.run.holder import is_gone, this_holder

ME = {"token": "run-a", "run_id": "run-a", "user": "root", "controller": "ctl", "pid": 1}
OTHER = {**ME, "token": "run-b", "run_id": "run-b", "controller": "awx"}


class Host:
    """A host with a lock; `agents` are the units that its systemctl calls active."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "run/lab.lock"
        self.agents = folder / "agents"
        self.agents.mkdir()
        systemctl = folder / "bin/systemctl"
        systemctl.parent.mkdir()
        systemctl.write_text(f'#!/bin/sh\ntest -e "{self.agents}/$2" && echo active || exit 3\n')
        systemctl.chmod(0o755)
        self.environment = {**os.environ, "PATH": f"{systemctl.parent}:{os.environ['PATH']}"}

    def lock(self, holder: dict[str, Any], **options: Any) -> dict[str, Any]:
        """One run of the module."""
        asked = {"holder": holder, "path": str(self.path), **options}
        done = subprocess.run(
            [sys.executable, CHECKOUT / "library/lab_lock.py"],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": asked}),
            env=self.environment,
            capture_output=True,
            text=True,
        )
        assert done.stdout, done.stderr
        told = json.loads(done.stdout)
        assert isinstance(told, dict)
        return told

    def work(self, run_id: str) -> Callable[[], None]:
        """The agent of a run begins to work; returns what ends it."""
        unit = self.agents / f"screamlab-{run_id}.service"
        unit.touch()
        return unit.unlink

    def age(self, seconds: float) -> None:
        """Let the lock's time be over for so long."""
        found = json.loads(self.path.read_text())
        self.path.write_text(json.dumps({**found, "until": time.time() - seconds}))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_one_has_it_until_it_gives_it_back(host: Host) -> None:
    first = host.lock(ME, for_s=60)
    assert (first["held"], first["changed"]) == (True, True)
    again = host.lock(ME, for_s=600)
    assert (again["held"], again["changed"]) == (True, False)
    assert again["holder"]["since"] == first["holder"]["since"]
    assert again["holder"]["until"] > first["holder"]["until"] + 500
    refused = host.lock(OTHER)
    assert (refused["held"], refused["changed"]) == (False, False)
    assert refused["told"].startswith("root on ctl since 20") and "run run-a" in refused["told"]
    assert not host.lock(OTHER, state="free")["changed"] and host.path.exists()
    assert host.lock(ME, state="free")["changed"]
    assert host.lock(OTHER)["held"]


def test_check_mode_tells_and_does_nothing(host: Host) -> None:
    assert host.lock(ME, _ansible_check_mode=True)["held"]
    assert not host.path.exists()
    host.lock(ME)
    assert host.lock(ME, state="free", _ansible_check_mode=True)["changed"]
    assert not host.lock(OTHER, _ansible_check_mode=True)["held"]


def test_a_lock_whose_time_is_over_is_broken_once_its_agent_has_ended(host: Host) -> None:
    host.lock(ME)
    host.age(1)
    end = host.work("run-a")
    refused = host.lock(OTHER)
    assert not refused["held"] and "whose agent is at work" in refused["told"]
    end()
    assert host.lock(OTHER)["held"]


def test_a_holder_that_is_known_to_be_gone_is_replaced_and_nobody_else(host: Host) -> None:
    host.lock(ME)
    assert not host.lock(OTHER, replaces="run-x")["held"]
    end = host.work("run-a")
    assert not host.lock(OTHER, replaces="run-a")["held"]
    end()
    assert host.lock(OTHER, replaces="run-a")["held"]


def test_it_is_not_given_back_while_the_agent_is_at_work(host: Host) -> None:
    host.lock(ME)
    end = host.work("run-a")
    kept = host.lock(ME, state="free")
    assert (kept["held"], kept["changed"]) == (True, False)
    end()
    assert host.lock(ME, state="free")["changed"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"token": "x"}', '{"since": "?", "until": 1}'])
def test_what_is_no_lock_holds_nobody_up(host: Host, content: str) -> None:
    host.path.parent.mkdir()
    host.path.write_text(content)
    assert host.lock(ME)["held"]


def test_of_many_at_once_one_gets_it(host: Host) -> None:
    holders = [{**ME, "token": f"run-{number}"} for number in range(6)]
    with ThreadPoolExecutor(len(holders)) as pool:
        held = [told["held"] for told in pool.map(host.lock, holders)]
    assert held.count(True) == 1


def test_a_token_is_needed(host: Host) -> None:
    assert "token" in host.lock({"user": "root"})["msg"]


def test_a_holder_is_gone_when_its_process_is() -> None:
    command = [sys.executable, "-c", ANCESTOR, "ansible-playbook"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin and process.stdout
    holder = json.loads(process.stdout.readline())
    assert holder["pid"] == process.pid and holder["token"] == "r" == holder["run_id"]
    assert not is_gone(holder)
    # What was begun later under its number is another process; elsewhere it means nothing.
    assert is_gone({**holder, "began": holder["began"] - 100})
    process.communicate("end\n")
    assert is_gone(holder)
    assert not is_gone({**holder, "boot_id": "another"})
    assert not is_gone({**holder, "pid_namespace": "pid:[1]"})


# A process that looks like a playbook, with a module at work below it.
ANCESTOR = """
import json, subprocess, sys
module = (
    "import json; from screamlab.run.holder import this_holder; print(json.dumps(this_holder('r')))"
)
subprocess.run([sys.executable, "-c", module], check=True)
sys.stdin.readline()
"""


def test_by_hand_the_process_is_the_token() -> None:
    one = this_holder()
    assert one["token"] == f"{one['user']}@{one['controller']}:{one['pid']}" and not one["run_id"]
