"""What is seen of a unit that is asked to end: one that ends, one that crashes, one that hangs."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from labs import BIN, Lab, run

from screamlab.evidence.stacks import crashed, threads

pytestmark = pytest.mark.e2e

PYTHON = "/opt/screamlab/venv/bin/python"
ENDS = "import signal; signal.sigwait([signal.SIGINT])"
ABORTS = f"{ENDS}; import os; os.abort()"
SPOOL = "/var/tmp/stopped"
RESET = "systemctl reset-failed stopped"


class Host:
    """client1, as root."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def module(self, name: str, **arguments: Any) -> dict[str, Any]:
        """What a module of the lab's or Ansible's answers."""
        options = ["-b", "-m", name, "-a", json.dumps(arguments), "--one-line",
                   "-e", f"ansible_python_interpreter={PYTHON}"]  # fmt: skip
        done = run([BIN / "ansible", "client1", *self.lab.variables, *options])
        assert done.returncode == 0, done.stdout + done.stderr
        found = re.search(r"=> (\{.*\})", done.stdout)
        return json.loads(found[1]) if found else {"stdout": done.stdout}

    def says(self, *argv: str) -> str:
        """What a command prints."""
        told = self.module("ansible.builtin.command", argv=argv)
        return str(told["stdout"]).replace("\\n", "\n")

    def begins(self, script: str) -> None:
        """Run Python as a unit that may leave cores."""
        properties = ("KillSignal=SIGINT", "TimeoutStopSec=8", "WorkingDirectory=/var/tmp",
                      "LimitCORE=infinity")  # fmt: skip
        options = [f"--property={item}" for item in properties]
        self.says("systemd-run", "--unit=stopped", *options, PYTHON, "-c", script)

    def stops(self) -> dict[str, Any]:
        """How it is seen to end."""
        return self.module(
            "router_stop", unit="stopped.service", spool=SPOOL, host="client1", look_after_s=1
        )


@pytest.fixture
def host(lab: Lab) -> Host:
    """A host of the lab."""
    return Host(lab)


def test_one_that_ends_by_itself(host: Host) -> None:
    host.begins(ENDS)
    stopped = host.stops()
    assert (stopped["outcome"], stopped["files"]) == ("ended", [])


def test_one_that_crashes_leaves_its_core_to_the_run(host: Host) -> None:
    host.begins(ABORTS)
    stopped = host.stops()
    assert (stopped["outcome"], stopped["reason"]) == ("failed", "the result core-dump")
    told = host.says("sh", "-c", f"{RESET}; cat {SPOOL}/*.jsonl {SPOOL}/crash-*-stacks.txt")
    assert '"kind":"core.found"' in told and "SIGABRT" in told
    assert crashed(told)


def test_one_that_hangs_is_looked_into_before_it_is_killed(host: Host) -> None:
    host.begins(ENDS)
    host.says("systemctl", "kill", "--signal=STOP", "stopped")
    stopped = host.stops()
    assert stopped["outcome"] == "killed" and 7 <= stopped["seconds"] < 30
    assert "stacks-gdb-stop.txt" in stopped["files"]
    assert threads(host.says("sh", "-c", f"{RESET}; cat {SPOOL}/stacks-gdb-stop.txt"))
