"""The worker that asks a launched process for snapshots, on a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from screamlab.agent.context import WorkerContext
from screamlab.evidence.spool import Spool, read_lines
from screamlab.observe import memory_launcher, python_memory
from screamlab.router.service import SystemdService

Run = Callable[..., list[dict[str, Any]]]


def answered(events: Path) -> bool:
    """Whether what was asked for has come, or will not."""
    return any(event["kind"] != "memory.asked" for event in read_lines(events).records)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    def carry_out(pid: int | None, snapshots: Path, to_s: float = 20.0) -> list[dict[str, Any]]:
        monkeypatch.setattr(SystemdService, "pid", lambda _: pid)
        spool = Spool(tmp_path / "spool", writer="w", host="h")
        context = WorkerContext("w", "h", time.time(), 0.0, to_s, spool, tmp_path)
        spec = {"unit": "x.service", "snapshots": str(snapshots), "at_s": [0.0, 0.3]}
        worker = Thread(target=python_memory.run, args=(spec, context))
        worker.start()
        events = tmp_path / "spool" / "events-w.jsonl"
        while worker.is_alive() and not answered(events):
            time.sleep(0.05)
        lasts = worker.is_alive() or context.now_s() >= to_s
        context.stopping.set()
        worker.join()
        spool.close()
        assert lasts
        return read_lines(events).records

    return carry_out


def test_it_begins_and_looks_closer_and_waits_for_the_answer(tmp_path: Path, run: Run) -> None:
    program = tmp_path / "program.py"
    program.write_text("import time\ntime.sleep(60)\n")
    launcher = Path(memory_launcher.__file__).parent
    command = [sys.executable, launcher, "--tool=tracemalloc", f"--folder={tmp_path}", program]
    process = subprocess.Popen([str(word) for word in command])
    snapshots = tmp_path / "snapshots.jsonl"
    try:
        while not (snapshots.exists() and snapshots.read_text()):
            assert process.poll() is None
            time.sleep(0.05)
        told = run(process.pid, snapshots)
    finally:
        process.kill()
        process.wait()
    assert [event["kind"] for event in told] == ["memory.asked", "memory.asked", "memory.told"]
    kinds = [line["kind"] for line in read_lines(snapshots).records if line["kind"] != "name"]
    assert kinds[:4] == ["start", "snapshot", "snapshot", "look"]


def test_an_answer_that_comes_before_the_question_is_written_down_is_one(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that a busy host keeps waiting asks, and the launcher looks at once."""
    snapshots = tmp_path / "snapshots.jsonl"
    snapshots.touch()

    def looks_at_once(pid: int, number: int) -> None:
        with snapshots.open("a") as file:
            file.write(json.dumps({"kind": "look", "t": round(time.time(), 3)}) + "\n")
        time.sleep(0.01)

    monkeypatch.setattr(os, "kill", looks_at_once)
    told = run(os.getpid(), snapshots, to_s=2.0)
    assert [event["kind"] for event in told] == ["memory.asked", "memory.asked", "memory.told"]


def test_a_router_without_the_launcher_is_not_signalled(tmp_path: Path, run: Run) -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        (told,) = run(process.pid, tmp_path / "snapshots.jsonl")
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
    assert told["kind"] == "memory.missing"
    assert told["reason"] == "x.service was not started by the launcher"


def test_a_router_that_is_gone_is_told(tmp_path: Path, run: Run) -> None:
    (told,) = run(None, tmp_path / "snapshots.jsonl")
    assert told["reason"] == "x.service has no process"


def test_an_answer_that_does_not_come_is_told(tmp_path: Path, run: Run) -> None:
    snapshots = tmp_path / "snapshots.jsonl"
    snapshots.touch()
    ignoring = "import signal, time; signal.signal(signal.SIGRTMIN + 5, signal.SIG_IGN)"
    ready = "print('ready', flush=True); time.sleep(60)"
    process = subprocess.Popen(
        [sys.executable, "-c", f"{ignoring}; {ready}"], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    try:
        told = run(process.pid, snapshots, to_s=1.0)
    finally:
        process.kill()
        process.wait()
    assert told[-1]["reason"] == "it has not answered by the end of the run"


def test_a_profiler_that_is_missing_is_one_sentence_and_the_program_runs(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("print('ran', __name__, __import__('sys').argv[1:])\n")
    (tmp_path / "memray.py").write_text("raise ImportError('no module of that name')\n")
    launcher = Path(memory_launcher.__file__).parent
    command = [sys.executable, launcher, "--tool=memray", f"--folder={tmp_path}/out", program, "a"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("ran __main__ ['a']\n", 0), done.stderr
    error, start = read_lines(tmp_path / "out" / "snapshots.jsonl").records
    assert error["text"] == "memray cannot be had: no module of that name"
    assert start["kind"] == "start"
