"""Looking into a process that hangs: real processes, the real tools."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from screamlab.agent.context import WorkerContext
from screamlab.evidence.spool import Spool, read_lines
from screamlab.observe.hang import HangWatch, stacks
from screamlab.observe.tools import GDB, PY_SPY, Tool

DEADLOCKED = """
import threading, sys
first, second = threading.Lock(), threading.Lock()
both = threading.Barrier(2)
def takes_first():
    with first:
        both.wait()
        second.acquire()
def takes_second():
    with second:
        both.wait()
        first.acquire()
for function in (takes_first, takes_second):
    threading.Thread(target=function).start()
print("ready", flush=True)
sys.stdin.read()
"""

needs_gdb = pytest.mark.skipif(GDB.path() is None, reason="gdb is not installed")


@pytest.fixture
def deadlocked() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", DEADLOCKED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def wait_for_state(pid: int, wanted: str) -> None:
    deadline = time.monotonic() + 5
    while state(pid) != wanted:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@needs_gdb
@pytest.mark.parametrize("stopped", [False, True], ids=["deadlocked", "stopped"])
def test_the_stacks_of_all_threads_are_taken_and_the_process_is_as_before(
    deadlocked: subprocess.Popen[str], tmp_path: Path, stopped: bool
) -> None:
    if stopped:
        os.kill(deadlocked.pid, signal.SIGSTOP)
        wait_for_state(deadlocked.pid, "T")
    told = stacks(deadlocked.pid, tmp_path, "17")
    assert "gdb" not in told.get("error", "")
    native = (tmp_path / "stacks-gdb-17.txt").read_text()
    assert native.count("Thread ") >= 3 and "PyThread_acquire_lock" in native
    if PY_SPY.path() is not None:
        assert told["files"] == ["stacks-py-spy-17.txt", "stacks-gdb-17.txt"]
        python = (tmp_path / "stacks-py-spy-17.txt").read_text()
        assert "takes_first" in python and "takes_second" in python
    assert state(deadlocked.pid) == ("T" if stopped else "S")
    assert deadlocked.poll() is None


def test_a_tool_that_is_missing_or_a_process_that_is_gone_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = Tool("no-such-tool", ("{pid}",))
    monkeypatch.setattr("screamlab.observe.hang.TOOLS", (missing,))
    assert stacks(os.getpid(), tmp_path, "1") == {
        "files": [], "error": "no-such-tool: is not installed on this host",
    }  # fmt: skip
    failing = Tool("false", ())
    monkeypatch.setattr("screamlab.observe.hang.TOOLS", (failing,))
    told = stacks(os.getpid(), tmp_path, "1")
    assert told["error"] == "false: ended with exit status 1"


class Watched:
    """This process, watched."""

    def __init__(self, folder: Path, **how: Any) -> None:
        spool = Spool(folder, writer="w", host="router1")
        context = WorkerContext("w", "router1", time.time(), 0.0, 60.0, spool, folder)
        self.folder = folder
        self.watch = HangWatch(context, how.pop("pid", os.getpid), **how)

    def events(self) -> list[dict[str, Any]]:
        self.watch.close()
        return read_lines(self.folder / "events-w.jsonl").records


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """One tool, which costs nothing."""
    monkeypatch.setattr("screamlab.observe.hang.TOOLS", (Tool("echo", ("stack of", "{pid}")),))


def test_each_hang_is_looked_into_once_and_only_after_its_time(tmp_path: Path, cheap: None) -> None:
    watched = Watched(tmp_path, after_s=0.2)
    watched.watch.stood("no answer")
    assert watched.events() == []
    time.sleep(0.25)
    watched.watch.stood("no answer")
    watched.watch.stood("still no answer")
    (event,) = watched.events()
    assert (event["kind"], event["subject"], event["pid"]) == ("router.hang", "router", os.getpid())
    assert event["reason"] == "no answer" and event["silent_s"] >= 0.2
    (file,) = event["files"]
    assert (tmp_path / file).read_text() == f"stack of {os.getpid()}\n"
    watched.watch.moved()
    watched.watch.stood("again")
    assert len(watched.events()) == 1
    time.sleep(0.25)
    watched.watch.stood("again")
    assert [event["reason"] for event in watched.events()] == ["no answer", "again"]


def test_looks_are_counted(tmp_path: Path, cheap: None) -> None:
    watched = Watched(tmp_path, after_s=0.0, at_most=2)
    for number in range(4):
        watched.watch.moved()
        watched.watch.stood(f"hang {number}")
        watched.watch.close()
    assert len(watched.events()) == 2


def test_without_a_process_there_is_nothing_to_look_into(tmp_path: Path, cheap: None) -> None:
    watched = Watched(tmp_path, after_s=0.0, pid=lambda: None)
    watched.watch.stood("nobody listens")
    (event,) = watched.events()
    assert event["error"] == "it has no process" and "pid" not in event
