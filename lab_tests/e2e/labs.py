"""A running local lab, and how tests address it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from screamlab import paths
from screamlab.run.record import read_record

BIN = Path(sys.executable).parent
INVALID = 3
INTERRUPTED = 130
ATTEMPTS = 3
# For hosts on which everything is as it is to be.
PROVISIONED = ["-e", "screamlab_provision=false"]
# The host that breaks links, where this machine's kernel cannot.
WITH_WAN = ["-e", '{"local_lab_wan": "{{ not local_lab_netem }}"}']


@dataclass(frozen=True)
class Lab:
    """A running local lab and how it is addressed."""

    name: str
    subnet: int
    inventory: Path = paths.CHECKOUT / "inventory" / "local"

    @property
    def variables(self) -> list[str]:
        """The options that make any command mean this lab."""
        names = ["-e", f"local_lab_name={self.name}", "-e", f"local_lab_subnet={self.subnet}"]
        return ["--inventory", str(self.inventory), *names]

    def playbook(self, name: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Run one of the project's playbooks on this lab to its end."""
        return run([BIN / "ansible-playbook", f"playbooks/{name}.yml", *self.variables, *options])

    def play(self, name: str, *options: str) -> str:
        """What one of the project's playbooks prints that succeeds on this lab."""
        done = self.playbook(name, *options)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
        return done.stdout

    def screamlab(self, *arguments: str) -> list[str]:
        """The command line of ``screamlab`` for this lab."""
        return [str(BIN / "screamlab"), *arguments, *self.variables]

    def runs(self, scenario: str, run_id: str, *options: str) -> list[str]:
        """The command line of a run on hosts that are provisioned already."""
        return self.screamlab("run", scenario, "--run-id", run_id, *PROVISIONED, *options)

    def passed(self, scenario: str, run_id: str, *options: str, interrupted: bool = False) -> Path:
        """The folder of a run of `scenario` at its quick scale that ended PASS."""
        folder, done = self.judged(scenario, run_id, *options, interrupted=interrupted)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
        assert done.stdout.splitlines()[-1].startswith("PASS")
        return folder

    def judged(
        self, scenario: str, run_id: str, *options: str, interrupted: bool = False
    ) -> tuple[Path, subprocess.CompletedProcess[str]]:
        """The folder of a run of `scenario` at its quick scale, and the command that ran it.

        INVALID means that the machine stalled and the lab cannot tell; it is asked again then. One
        that is `interrupted` goes on without its controller, and is taken up again.
        """
        for attempt in range(ATTEMPTS):
            folder = paths.RUNS / f"{self.name}-{run_id}-{attempt}"
            if interrupted:
                orphan(self, folder.name, scenario, *options, by=signal.SIGINT)
                done = run(self.screamlab("attach", str(folder)))
            else:
                done = run(self.runs(scenario, folder.name, *options))
            if done.returncode != INVALID:
                break
        return folder, done


@contextmanager
def standing(folder: Path, name: str, subnet: int, clients: int = 2) -> Iterator[Lab]:
    """A router and its clients not brought up yet, beside any other lab; gone afterwards."""
    if os.geteuid() != 0:
        pytest.skip("hosts in namespaces need root")
    inventory = folder / "inventory"
    shutil.copytree(paths.CHECKOUT / "inventory" / "local", inventory)
    hosts = inventory / "hosts.yml"
    fewer = re.sub(rf" +client[{clients + 1}-9]:.*\n", "", hosts.read_text())
    hosts.write_text(fewer.replace("client[1:2]", f"client[1:{clients}]"))
    # A process of xdist's has a lab of its own.
    subnet += int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    lab = Lab(f"{name}{os.getpid()}", subnet, inventory)
    try:
        yield lab
    finally:
        lab.play("down")


@contextmanager
def provisioned(folder: Path, name: str, subnet: int, *up: str) -> Iterator[Lab]:
    """A router and two clients with all they need, brought up with the options `up`."""
    with standing(folder, name, subnet) as lab:
        lab.play("up", *up)
        lab.play("provision")
        yield lab


def orphan(
    lab: Lab, run_id: str, scenario: str, *options: str, by: signal.Signals = signal.SIGKILL
) -> Path:
    """The folder of a run that is under way and whose controller was ended by a signal."""
    folder = paths.RUNS / run_id
    controller = subprocess.Popen(
        lab.runs(scenario, run_id, *options),
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        # What it has there is left by SIGKILL.
        env={**os.environ, "TMPDIR": str(lab.inventory.parent)},
    )

    def under_way() -> bool:
        zero = read_record(folder)["zero"] if (folder / "run.json").exists() else None
        return zero is not None and time.time() > zero + 1

    wait_for(under_way, 180)
    os.killpg(controller.pid, by)
    assert controller.wait(60) == (INTERRUPTED if by == signal.SIGINT else -by)
    return folder


def run(command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    """Run a command of the project from its root, output kept."""
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        [str(part) for part in command],
        cwd=paths.CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def verdict_of(folder: Path) -> dict[str, Any]:
    """The verdict of a run that was judged."""
    verdict = json.loads((folder / "verdict.json").read_text())
    assert isinstance(verdict, dict)
    return verdict


def wait_for(what: Callable[[], bool], seconds: float) -> None:
    """Wait until something is true; fail where it takes longer than that."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.2)
