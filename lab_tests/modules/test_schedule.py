"""Schedules: installed once, changed in kind, and gone again, by the playbook that users run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from screamlab.cli import main
from screamlab.paths import CHECKOUT

BIN = Path(sys.executable).parent


class Machine:
    """Folders that stand for a machine's /etc, and the playbook on it."""

    def __init__(self, folder: Path) -> None:
        self.units, self.cron = folder / "system", folder / "cron.d"
        self.units.mkdir()
        self.cron.mkdir()

    def schedule(self, **variables: str) -> subprocess.CompletedProcess[str]:
        given = {"schedule_units": self.units, "schedule_cron_d": self.cron, **variables}
        told = [part for name, value in given.items() for part in ("-e", f"{name}={value}")]
        command = [BIN / "ansible-playbook", "playbooks/schedule.yml", *told,
                   "-e", '{"schedule_start": false}']  # fmt: skip
        return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)

    def files(self) -> list[str]:
        return sorted(file.name for part in (self.units, self.cron) for file in part.iterdir())


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def changes(done: subprocess.CompletedProcess[str]) -> int:
    assert done.returncode == 0, done.stdout + done.stderr
    (changed,) = re.findall(r"changed=(\d+)", done.stdout)
    return int(changed)


def test_a_timer_comes_once_turns_into_a_line_of_cron_and_goes(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert changes(machine.schedule())
    assert machine.files() == ["screamlab-nightly.service", "screamlab-nightly.timer"]
    if verify := shutil.which("systemd-analyze"):
        units = [str(file) for file in machine.units.iterdir()]
        done = subprocess.run([verify, "verify", *units], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert not changes(machine.schedule())
    assert changes(machine.schedule(schedule_kind="cron"))
    assert machine.files() == ["screamlab-nightly"]
    see_understood((machine.cron / "screamlab-nightly").read_text().splitlines()[-1], capsys)
    assert changes(machine.schedule(schedule_state="absent"))
    assert machine.files() == []


def see_understood(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The commands of a line of cron, each cut short by what it cannot accept."""
    assert line.startswith("30 1 * * * root cd ")
    run, prune = re.findall(r"\.venv/bin/screamlab ([^>]*?) >", line)
    assert main([*run.split(), "--seed", "1"]) == 2
    assert "--seed is for one scenario" in capsys.readouterr().err
    assert main(prune.replace("prune", "prune /nonexistent").split()) == 2
    assert "no such folder" in capsys.readouterr().err


def test_a_suite_that_is_not_there_is_one_sentence(machine: Machine) -> None:
    done = machine.schedule(schedule_suite="weekly")
    assert done.returncode != 0 and "weekly.yml is missing, so nothing would run" in done.stdout
    assert machine.files() == []
