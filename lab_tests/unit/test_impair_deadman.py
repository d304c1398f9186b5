"""Dead men of a host without systemd: real processes that outlive whoever armed them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from screamlab.impair import deadman, marks
from screamlab.impair.marks import Mark

# No host has an interface of this name; a device that is gone is clean.
DEVICE = f"no{os.getpid()}"


@pytest.fixture(autouse=True)
def no_systemd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setattr(marks, "MARKS", tmp_path)
    monkeypatch.setattr(deadman, "_systemd_runs", lambda: False)
    yield
    deadman.disarm(DEVICE)


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_it_heals_and_takes_the_mark_away() -> None:
    marks.write(Mark(DEVICE, time.time() + 0.2))
    assert marks.marked() == [DEVICE]
    assert deadman.arm(DEVICE, 0.2) in deadman.watching(DEVICE)
    wait_until(lambda: marks.marked() == [])
    wait_until(lambda: deadman.watching(DEVICE) == [])


def test_it_outlives_the_one_who_armed_it(tmp_path: Path) -> None:
    marks.write(Mark(DEVICE, time.time() + 1))
    code = (
        "import os, sys, signal, pathlib\n"
        "from screamlab.impair import deadman, marks\n"
        "marks.MARKS = pathlib.Path(sys.argv[2])\n"
        "deadman._systemd_runs = lambda: False\n"
        "deadman.arm(sys.argv[1], 0.5)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, DEVICE, str(tmp_path)])
    assert done.returncode == -signal.SIGKILL
    wait_until(lambda: marks.marked() == [])


def test_arming_again_leaves_one() -> None:
    first = deadman.arm(DEVICE, 600)
    second = deadman.arm(DEVICE, 600)
    assert first != second
    wait_until(lambda: deadman.watching(DEVICE) == [second])


def test_disarmed_it_does_nothing() -> None:
    marks.write(Mark(DEVICE, time.time() + 600))
    pid = int(deadman.arm(DEVICE, 600).removeprefix("pid:"))
    deadman.disarm(DEVICE)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    assert marks.marked() == [DEVICE]


def test_what_a_dead_man_forks_is_not_another() -> None:
    leader = int(deadman.arm(DEVICE, 600).removeprefix("pid:"))
    cmdline = Path(f"/proc/{leader}/cmdline").read_text()
    forked = subprocess.Popen(cmdline.split("\0")[:-1], process_group=0)
    try:
        wait_until(lambda: Path(f"/proc/{forked.pid}/cmdline").read_text() == cmdline)
        assert deadman.watching(DEVICE) == [f"pid:{leader}"]
    finally:
        os.killpg(forked.pid, signal.SIGKILL)
        forked.wait()


def test_one_that_went_home_meanwhile_is_relieved(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = subprocess.Popen(["/bin/true"], start_new_session=True)
    gone.wait()
    monkeypatch.setattr(deadman, "_supervisors", lambda: [(gone.pid, [deadman.NAME, DEVICE])])
    deadman.disarm(DEVICE)


@pytest.mark.parametrize("device", ["eth0", "eth0.100", "wlp2s0-1", "br_lan", "ü0"])
def test_a_timer_tells_its_device(device: str) -> None:
    escaped = deadman._escaped(device)
    assert escaped.replace("_", "").isalnum() and escaped.isascii()
    assert deadman._device_of(f"{deadman.NAME}-{escaped}-18abc.timer") == device


def test_a_mark_that_cannot_be_read_is_a_mark() -> None:
    marks.path(DEVICE).write_text("{")
    assert marks.read(DEVICE) == Mark(DEVICE, 0.0)
    assert marks.marked() == [DEVICE]
