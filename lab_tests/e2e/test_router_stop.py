"""What is seen of a unit that is asked to end: one that ends, one that crashes, one that hangs."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import yaml
from labs import BIN, Lab, run

from screamlab.evidence.stacks import crashed, threads

pytestmark = [pytest.mark.e2e, pytest.mark.quiet]

PYTHON = "/opt/screamlab/venv/bin/python"
ENDS = "import signal; signal.sigwait([signal.SIGINT])"
ABORTS = f"{ENDS}; import os; os.abort()"


class Host:
    """client1, as root, with a unit that is stopped."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.unit = f"stopped-{time.time_ns():x}"
        self.spool = f"/var/tmp/{self.unit}"

    def module(self, name: str, **arguments: Any) -> str:
        """What Ansible prints of a module that succeeded."""
        options = ["-b", "-m", name, "-a", json.dumps(arguments),
                   "-e", f"ansible_python_interpreter={PYTHON}"]  # fmt: skip
        done = run([BIN / "ansible", "client1", *self.lab.variables, *options])
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def says(self, *argv: str) -> str:
        """What a command prints."""
        return self.module("ansible.builtin.command", argv=argv).partition(">>\n")[2]

    def begins(self, script: str) -> None:
        """Run Python as a unit that may leave cores."""
        properties = ("KillSignal=SIGINT", "TimeoutStopSec=8", "WorkingDirectory=/var/tmp",
                      "LimitCORE=infinity")  # fmt: skip
        options = [f"--property={item}" for item in properties]
        self.says("systemd-run", f"--unit={self.unit}", *options, PYTHON, "-c", script)

    def stops(self) -> dict[str, Any]:
        """How it is seen to end."""
        told = self.module(
            "router_stop",
            unit=f"{self.unit}.service",
            spool=self.spool,
            host="client1",
            look_after_s=1,
        )
        answer: dict[str, Any] = yaml.safe_load(told.partition("=> ")[2])
        return answer

    def left(self, *files: str) -> str:
        """The text of files in the run's spool."""
        paths = " ".join(f"{self.spool}/{file}" for file in files)
        return self.says("sh", "-c", f"systemctl reset-failed {self.unit}; cat {paths}")


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
    told = host.left("*.jsonl", "crash-*-stacks.txt")
    assert '"kind":"core.found"' in told and "SIGABRT" in told
    assert crashed(told)


def test_one_that_hangs_is_looked_into_before_it_is_killed(host: Host) -> None:
    host.begins(ENDS)
    host.says("systemctl", "kill", "--signal=STOP", host.unit)
    stopped = host.stops()
    assert stopped["outcome"] == "killed" and 7 <= stopped["seconds"] < 30
    assert "stacks-gdb-stop.txt" in stopped["files"]
    assert threads(host.left("stacks-gdb-stop.txt"))
