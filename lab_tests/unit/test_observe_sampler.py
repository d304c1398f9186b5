"""The sampler against real processes that do what was planted."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from screamlab.agent.context import WorkerContext
from screamlab.errors import BadInput
from screamlab.evidence.spool import Spool, read_lines
from screamlab.observe import sampler
from screamlab.observe.group import Group
from screamlab.observe.sampler import run

MIB = 2**20
PUPPET = """
import os, socket, subprocess, sys, threading, time
kept = []
print("ready", flush=True)
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
"""

BUSY = "until = time.process_time() + 0.3; exec('while time.process_time() < until: pass')"


class Puppet:
    """A Python process that does what it is told and says when it is done."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", PUPPET], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self._process.pid
        self._hear("ready")

    def do(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        self._hear("done")

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _hear(self, word: str) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == word


@pytest.fixture
def puppet() -> Iterator[Puppet]:
    puppet = Puppet()
    yield puppet
    puppet.end()


@pytest.fixture
def change(puppet: Puppet) -> Callable[[str], dict[str, float]]:
    """How the figures of the puppet change by what it is told to do."""
    group = Group()

    def by(line: str) -> dict[str, float]:
        before = group.sample([puppet.pid], deep=True)
        puppet.do(line)
        after = group.sample([puppet.pid], deep=True)
        return {name: after[name] - before[name] for name in before.keys() & after.keys()}

    return by


def test_memory_that_is_touched_shows(change: Callable[[str], dict[str, float]]) -> None:
    grown = change("kept.append(b'x' * (64 << 20))")
    for metric in ("rss_bytes", "uss_bytes", "pss_bytes"):
        assert grown[metric] == pytest.approx(64 * MIB, rel=0.05)
    assert grown["minor_faults"] > 0


def test_descriptors_and_sockets(change: Callable[[str], dict[str, float]]) -> None:
    grown = change("kept += [open('/dev/null') for _ in range(7)]")
    assert (grown["descriptors"], grown["sockets"]) == (7, 0)
    grown = change("kept += [socket.socket() for _ in range(5)]")
    assert (grown["descriptors"], grown["sockets"]) == (5, 5)


def test_a_descriptor_swapped_for_a_socket_shows_in_a_deep_sample(puppet: Puppet) -> None:
    group = Group()
    puppet.do("kept.append(open('/dev/null'))")
    before = group.sample([puppet.pid], deep=True)
    puppet.do("kept.pop().close(); kept.append(socket.socket())")
    after = group.sample([puppet.pid], deep=True)
    assert after["descriptors"] == before["descriptors"]
    assert after["sockets"] == before["sockets"] + 1


def test_threads_and_the_switches_of_all_of_them(
    change: Callable[[str], dict[str, float]],
) -> None:
    grown = change(
        "go, gone, stop = threading.Event(), threading.Event(), threading.Event();"
        "nap = lambda: [time.sleep(0.0001) for _ in range(200)];"
        "naps = lambda: (go.wait(), nap(), gone.set(), stop.wait());"
        "kept += [threading.Thread(target=naps, daemon=True) for _ in range(3)];"
        "[thread.start() for thread in kept]"
    )
    assert grown["threads"] == 3
    assert change("go.set(); gone.wait()")["voluntary_switches"] >= 200
    # join returns before the kernel has let go of the thread.
    ended = change(
        "alive = len(os.listdir('/proc/self/task')); stop.set();"
        "exec('while len(os.listdir(\"/proc/self/task\")) > alive - 3: time.sleep(0.01)')"
    )
    assert ended["threads"] == -3
    assert ended["voluntary_switches"] >= 0


def test_processor_time_is_counted_in_percent_of_one_processor(puppet: Puppet) -> None:
    group = Group()
    first = group.sample([puppet.pid], deep=False)
    assert "cpu_percent" not in first
    began = time.clock_gettime(time.CLOCK_BOOTTIME)
    puppet.do(BUSY)
    values = group.sample([puppet.pid], deep=False)
    elapsed = time.clock_gettime(time.CLOCK_BOOTTIME) - began
    assert values["cpu_percent"] == pytest.approx(100 * 0.3 / elapsed, abs=100 * 0.03 / elapsed)


def test_what_an_ended_member_has_used_stays_in_the_sum(puppet: Puppet) -> None:
    group = Group()
    other = Puppet()
    both = group.sample([puppet.pid, other.pid], deep=False)
    assert both["processes"] == 2
    other.end()
    one = group.sample([puppet.pid, other.pid], deep=False)
    assert one["processes"] == 1
    assert one["minor_faults"] >= both["minor_faults"]
    assert group.alive == {puppet.pid}


def test_an_old_process_that_joins_brings_no_processor_time_along(puppet: Puppet) -> None:
    puppet.do(BUSY)
    group = Group()
    group.sample([], deep=False)
    assert group.sample([puppet.pid], deep=False)["cpu_percent"] == 0


@pytest.fixture
def context(tmp_path: Path) -> WorkerContext:
    spool = Spool(tmp_path, writer="sampler", host="h1")
    zero = time.time()
    return WorkerContext("sampler", "h1", zero, 0.2, 1.25, spool, tmp_path)


def written(directory: Path, kind: str) -> list[dict[str, Any]]:
    lines = read_lines(directory / f"{kind}-sampler.jsonl")
    assert lines.broken == 0
    return lines.records


def test_a_sample_at_every_tick_of_the_plans_clock(
    context: WorkerContext, tmp_path: Path, puppet: Puppet
) -> None:
    spec = {"processes": [{"name": "puppet", "pid": puppet.pid}], "interval_s": 0.1}
    run(spec, context)
    assert context.now_s() >= context.to_s, "an agent is told that what ends earlier has failed"
    series = [line for line in written(tmp_path, "series") if line["subject"] == "process/puppet"]
    ticks = [line["t"] - context.zero for line in series]
    gaps = [e["missed"] for e in written(tmp_path, "events") if e["kind"] == "sampler.gap"]
    assert len(series) + sum(gaps) == 11
    assert all(0 <= (tick - 0.2) % 0.1 < 0.1 and 0.2 <= tick < 1.35 for tick in ticks)
    assert {"uss_bytes", "sockets", "restarts"} <= series[0]["values"].keys()
    subjects = {line["subject"] for line in written(tmp_path, "series")}
    assert {"host", "sampler", "process/puppet"} <= subjects


def test_a_process_that_ends_is_told_once(
    context: WorkerContext, tmp_path: Path, puppet: Puppet
) -> None:
    sampling = threading.Thread(
        target=run,
        args=({"processes": [{"name": "p", "pid": puppet.pid}], "interval_s": 0.05}, context),
    )
    sampling.start()
    while not any(line.get("kind") == "process.found" for line in written(tmp_path, "events")):
        assert sampling.is_alive()
        time.sleep(0.01)
    puppet.end()
    sampling.join()
    told = [event for event in written(tmp_path, "events") if event["kind"] == "process.gone"]
    assert [event["pid"] for event in told] == [puppet.pid]
    last = [line for line in written(tmp_path, "series") if line["subject"] == "process/p"][-1]
    assert last["values"]["processes"] == 0


def test_a_clock_that_steps_is_told(
    context: WorkerContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead_s = iter([5.0, 5.0005, 5.001])
    monkeypatch.setattr(sampler, "_clock_ahead_s", lambda: next(ahead_s, 4.601))
    run({"interval_s": 0.1}, context)
    (step,) = [line for line in written(tmp_path, "events") if line["kind"] == "clock.stepped"]
    assert (step["subject"], step["ms"]) == ("host", -400.0)


def test_missed_ticks_are_a_gap_and_not_moved(context: WorkerContext, tmp_path: Path) -> None:
    sleep_until = context.sleep_until
    stalls = iter([0.0, 0.0, 0.35])

    def stalling(at_s: float) -> bool:
        going_on = sleep_until(at_s)
        time.sleep(next(stalls, 0.0))
        return going_on

    context.sleep_until = stalling  # type: ignore[method-assign]
    run({"interval_s": 0.1}, context)
    (gap, *_) = [event for event in written(tmp_path, "events") if event["kind"] == "sampler.gap"]
    assert gap["missed"] >= 3 and gap["late_s"] >= 0.35


def test_told_to_stop_it_stops(context: WorkerContext, tmp_path: Path) -> None:
    context.stopping.set()
    run({}, context)
    assert [event["kind"] for event in written(tmp_path, "events")] == [
        "sampler.start",
        "sampler.end",
    ]


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({"processes": [{"name": "x"}]}, "one of unit, pid and worker"),
        (
            {"processes": [{"name": "x", "pid": 1, "unit": "a.service"}]},
            "one of unit, pid and worker",
        ),
        ({"interval": 1}, "interval"),
    ],
)
def test_a_wrong_spec_is_refused_by_name(
    context: WorkerContext, spec: dict[str, Any], named: str
) -> None:
    with pytest.raises(BadInput, match=named):
        run(spec, context)


def test_descriptors_are_given_back(puppet: Puppet) -> None:
    before = len(os.listdir("/proc/self/fd"))
    group = Group()
    group.sample([puppet.pid], deep=True)
    assert len(os.listdir("/proc/self/fd")) > before
    group.close()
    assert len(os.listdir("/proc/self/fd")) == before
