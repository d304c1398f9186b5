"""Cores of real processes: found, read by gdb, kept; and a host that keeps none is known."""

from __future__ import annotations

import json
import lzma
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from screamlab.agent.context import WorkerContext
from screamlab.errors import InfraError
from screamlab.evidence.spool import Spool, read_lines
from screamlab.evidence.stacks import build_ids, crashed
from screamlab.observe import core_keep, core_place, crash_watch
from screamlab.observe.core_file import build_id, read_core
from screamlab.observe.core_place import Files, file_glob, parse_entry
from screamlab.observe.core_place import core_place as find_place
from screamlab.observe.tools import GDB_OF_CORE

SOURCE = """\
#include <csignal>
#include <cstdlib>
#include <stdexcept>
namespace canary {
struct Mixer {
    int mix(int *sample) { return *sample; }  // line 6
};
void fall() { throw std::runtime_error("on purpose"); }  // line 8
void run(int what) {
    if (what == 1) Mixer().mix(nullptr);
    if (what == 2) fall();
}
}
int main(int, char **arguments) { canary::run(std::atoi(arguments[1])); return 0; }
"""
# Lets the canary crash once for every line it reads, as a router's or an agent's child would.
PARENT = """\
import resource, subprocess, sys
hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
print("ready", flush=True)
for line in sys.stdin:
    done = subprocess.run([sys.argv[1], line.strip()], stderr=subprocess.DEVNULL)
    print(done.returncode, flush=True)
"""
DATA = Path(__file__).parents[1] / "data"

pytestmark = [
    pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler"),
    pytest.mark.skipif(GDB_OF_CORE.path() is None, reason="gdb is not installed"),
]


@pytest.fixture(scope="module")
def canary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that crashes in a C++ function of its own, built with debug information."""
    folder = tmp_path_factory.mktemp("canary")
    (folder / "canary.cpp").write_text(SOURCE)
    command = ["g++", "-g", "-O0", "-Wl,--build-id", "-o", "canary", "canary.cpp"]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "canary"


class Watched:
    """A process that is watched by the worker, and the run's folder the worker writes to."""

    def __init__(self, canary: Path, folder: Path) -> None:
        self.folder = folder
        self.own = folder / "cwd"
        self.own.mkdir()
        self.parent = subprocess.Popen(
            [sys.executable, "-c", PARENT, canary],
            cwd=self.own,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.read() == "ready"
        spool = Spool(folder, writer="w", host="router1")
        self.context = WorkerContext("w", "router1", time.time(), 0.0, 600.0, spool, folder)
        spec = {"processes": [{"name": "router", "pid": self.parent.pid}]}
        self.worker = threading.Thread(target=crash_watch.run, args=(spec, self.context))
        self.worker.start()
        self.wait_for("core.canary", 1)

    def read(self) -> str:
        assert self.parent.stdout is not None
        return self.parent.stdout.readline().strip()

    def crash(self, what: int) -> int:
        """Let the canary crash, and wait until its core was found and kept; what it ended with.

        The next core may have the same name.
        """
        before = len(self.events("core.found"))
        print(what, file=self.parent.stdin, flush=True)
        ended = int(self.read())
        self.wait_for("core.found", before + 1)
        self.wait_for("core.kept", before + 1)
        return ended

    def events(self, kind: str) -> list[dict[str, Any]]:
        file = self.folder / "events-w.jsonl"
        return [e for e in read_lines(file).records if e["kind"] == kind] if file.exists() else []

    def wait_for(self, kind: str, count: int) -> None:
        deadline = time.monotonic() + 120
        while len(self.events(kind)) < count:
            assert time.monotonic() < deadline, f"no {kind}"
            time.sleep(0.05)

    def end(self) -> None:
        self.context.stopping.set()
        self.worker.join()

    def stop_parent(self) -> None:
        self.parent.kill()
        self.parent.communicate()


@pytest.fixture
def watched(canary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    monkeypatch.setattr(Files, "look_s", 0.1)
    # Tests side by side leave a gdb that is nicer than they are nothing of two processors.
    monkeypatch.setattr(crash_watch, "_NICENESS", 0)
    try:
        find_place(0.0)
    except InfraError as error:
        pytest.skip(str(error))
    it = Watched(canary, tmp_path)
    try:
        yield it
    finally:
        it.end()
        it.stop_parent()


def test_a_crash_is_found_with_function_line_build_id_and_signal(
    watched: Watched, canary: Path
) -> None:
    assert watched.events("core.canary")[0]["ok"], watched.events("core.canary")
    assert watched.crash(1) == -signal.SIGSEGV
    assert watched.crash(2) == -signal.SIGABRT
    watched.wait_for("core.kept", 2)
    watched.end()
    found, kept = watched.events("core.found"), watched.events("core.kept")
    assert [event["signal"] for event in found] == ["SIGSEGV", "SIGABRT"]
    assert {event["subject"] for event in found} == {"process/router"}
    assert found[0]["command"] == f"{canary} 1" and found[0]["executable"] == str(canary)
    assert found[0]["build_id"] == build_id(canary)
    assert abs(found[0]["t"] - watched.context.zero) < 60
    assert [event["pid"] for event in kept] == [event["pid"] for event in found]
    assert not any("error" in event for event in kept)
    stacks, core = (watched.folder / name for name in kept[0]["files"])
    frames = crashed(stacks.read_text())
    assert [(f.function, f.place) for f in frames[:2]] == [
        ("canary::Mixer::mix", "canary.cpp:6"), ("canary::run", "canary.cpp:10"),
    ]  # fmt: skip
    assert build_ids(stacks.read_text())[str(canary)] == found[0]["build_id"]
    thrown = crashed((watched.folder / kept[1]["files"][0]).read_text())
    assert (thrown[0].function, thrown[0].place) == ("canary::fall", "canary.cpp:8")
    with lzma.open(core) as file:
        assert len(file.read()) == kept[0]["core_bytes"]
    assert [event["found"] for event in watched.events("core.watched")] == [2]
    assert list(watched.own.iterdir()) == []


def test_where_nothing_crashes_nothing_is_found_and_nothing_is_left(watched: Watched) -> None:
    watched.end()
    assert watched.events("core.found") == []
    (told,) = watched.events("core.watched")
    assert told["looks"] >= 1 and told["found"] == 0
    assert list(watched.own.iterdir()) == []


def test_a_core_of_somebody_else_stays_where_it_is(watched: Watched, canary: Path) -> None:
    unlimited = [sys.executable, "-c", PARENT, str(canary)]
    subprocess.run(unlimited, cwd=watched.own, input="1\n", text=True, stdout=subprocess.DEVNULL,
                   start_new_session=True)  # fmt: skip
    assert len(list(watched.own.iterdir())) == 1
    time.sleep(0.5)
    watched.end()
    assert watched.events("core.found") == []
    assert len(list(watched.own.iterdir())) == 1


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that may leave cores."""
    process = subprocess.Popen(["sleep", "60"], cwd=tmp_path)
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.prlimit(process.pid, resource.RLIMIT_CORE, (hard, hard))
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_canary_without_a_core_is_told_with_the_reason(
    sleeper: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InfraError, match="there is no process"):
        crash_watch.prove(Files("core*", 0.0), 0)
    monkeypatch.setattr(crash_watch, "_CANARY_S", 0.2)
    with pytest.raises(InfraError, match=r"within 0.2 s \(files elsewhere\).* is core of"):
        crash_watch.prove(Files("elsewhere", 0.0), sleeper.pid)
    resource.prlimit(sleeper.pid, resource.RLIMIT_CORE, (0, resource.RLIM_INFINITY))
    with pytest.raises(InfraError, match="needs LimitCORE=infinity"):
        crash_watch.prove(Files("core*", 0.0), sleeper.pid)
    assert list(tmp_path.iterdir()) == []


def kernel(folder: Path, pattern: str, uses_pid: str = "0") -> Path:
    (folder / "core_pattern").write_text(f"{pattern}\n")
    (folder / "core_uses_pid").write_text(f"{uses_pid}\n")
    return folder


def test_a_pipe_of_somebody_elses_is_told_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apport = "|/usr/share/apport/apport -p%p -s%s -c%c -d%d -P%P -u%u -g%g -- %E"
    monkeypatch.setattr(core_place, "_KERNEL", kernel(tmp_path, apport))
    with pytest.raises(InfraError, match="hands cores to /usr/share/apport/apport, of which"):
        find_place(0.0)


def test_what_systemd_coredump_tells_of_a_core() -> None:
    found = parse_entry(json.loads((DATA / "coredump_entry.json").read_text()))
    assert (found.core.pid, found.core.signal, found.core.executable) == (
        260, "SIGSEGV", "/usr/bin/dash",
    )  # fmt: skip
    assert found.core.kin == {260, 240}
    assert found.key == "COREDUMP_TIMESTAMP=1795699924000000 COREDUMP_PID=260"
    assert found.t == 1795699924.0


@pytest.mark.parametrize(
    "pattern,uses_pid,expected",
    [
        ("core", False, "core"),
        ("core", True, "core.*"),
        ("/var/crash/core.%e.%p", True, "/var/crash/core.*.*"),
        ("/c/%E/100%%[x]", False, "/c/*/100%[[]x]"),
    ],
)
def test_patterns_of_files(pattern: str, uses_pid: bool, expected: str) -> None:
    assert file_glob(pattern, uses_pid) == expected


def test_what_is_no_core_or_only_half_of_one_is_none(canary: Path, tmp_path: Path) -> None:
    assert read_core(canary) is None and read_core(tmp_path / "gone") is None
    assert build_id(tmp_path / "gone") is None
    subprocess.run(["/bin/sh", "-c", f"ulimit -c unlimited; {canary} 1; true"], cwd=tmp_path)
    core = next(tmp_path.glob("core*"), None)
    if core is None:
        pytest.skip("this machine keeps cores elsewhere")
    whole = core.read_bytes()
    for length in (10, 100, 3000, 4000):
        core.write_bytes(whole[:length])
        assert read_core(core) is None


def test_a_core_that_is_too_large_is_left_out_and_told(
    sleeper: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = tmp_path / "big"
    big.write_bytes(os.urandom(3 << 20))
    with pytest.raises(InfraError, match="more than 1 MiB compressed"):
        core_keep.compress(big, tmp_path / "big.xz", 1 << 20)
    assert not (tmp_path / "big.xz").exists()


def test_after_a_few_cores_no_more_are_kept(tmp_path: Path) -> None:
    core = tmp_path / "core"
    core.write_bytes(b"core")
    found = core_place.Found(core_place.Core(7, frozenset({7}), "SIGABRT", "x", "/x"), 5.0,
                             str(core))  # fmt: skip
    told = core_keep.keep(Files("core", 0.0), found, tmp_path, core_keep.AT_MOST + 1)
    assert told == {"files": [], "core_bytes": 0, "error": "only the first 8 cores are kept"}
    assert not core.exists()
