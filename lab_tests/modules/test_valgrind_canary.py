"""A program that does known things with its memory, under Valgrind's real tools."""

from __future__ import annotations

import gzip
import importlib.util
import json
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from screamlab.errors import BadInput, InfraError
from screamlab.evidence import valgrind_report
from screamlab.evidence.valgrind_report import LOST, Report, read_report
from screamlab.evidence.valgrind_stack import Objects, blamed, place, short
from screamlab.judge.valgrind_told import compare
from screamlab.observe.slowdown import measure_slowdown
from screamlab.paths import CHECKOUT
from screamlab.router.stop_firmly import stop_firmly

SOURCES = CHECKOUT / "lab_tests" / "data" / "valgrind"
GATE = CHECKOUT / "roles" / "memcheck" / "files" / "thread_gate.c"
OBJECTS = Objects(engine=("*/libcanary_engine.so",), libraries=("*/libcanary_library.so",))
MISSING = [tool for tool in ("valgrind", "vgdb", "gcc", "g++") if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

# What each function does, to the byte: kind, owner, function, bytes, blocks.
LOSSES = {
    ("definitely", "engine", "canary::lose_definitely", 2000, 2),
    ("definitely", "engine", "canary::push", 64, 1),
    ("definitely", "engine", "canary::lose_a_copy", 6, 1),
    ("definitely", "libraries", "library_loses", 123, 1),
    ("definitely", "system", "main", 77, 1),
    ("indirectly", "engine", "canary::push", 256, 4),
    ("possibly", "engine", "canary::keep_the_middle", 500, 1),
}
KEPT = ("reachable", "engine", "canary::keep", 300, 1)


class Canary:
    """The compiled program, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shared = ["-shared", "-fPIC", "-o"]
        linked = ["-L.", "-lcanary_engine", "-lcanary_library", "-Wl,-rpath,$ORIGIN", "-o"]
        self._compile("g++", SOURCES / "canary_engine.cpp", *shared, "libcanary_engine.so")
        self._compile("gcc", SOURCES / "canary_library.c", *shared, "libcanary_library.so")
        self._compile("g++", SOURCES / "canary.cpp", *linked, "canary")
        self._compile("gcc", GATE, *shared, "thread_gate.so")

    def _compile(self, compiler: str, source: Path, *words: str) -> None:
        flags = ["-g", "-O1", "-fno-inline", "-fno-builtin", "-Wall", "-Wextra", "-Werror"]
        subprocess.run([compiler, *flags, str(source), *words], cwd=self.folder, check=True)

    def output(self, tool: str, way: str) -> Path:
        """What a tool writes of one of the program's ways."""
        return self.folder / f"{tool}.{way}"

    def command(self, tool: str, way: str) -> list[str]:
        """The command line that has it go that way under the tool."""
        option = {"massif": "--massif-out-file", "dhat": "--dhat-out-file"}.get(tool, "--xml-file")
        xml = ["--xml=yes"] if option == "--xml-file" else []
        more = {
            "memcheck": ["--leak-check=full", "--show-leak-kinds=all"],
            "massif": ["--detailed-freq=1"],
        }.get(tool, [])
        told = f"{option}={self.output(tool, way)}"
        words = ["valgrind", "-q", f"--tool={tool}", *xml, *more, told]
        return [*words, str(self.folder / "canary"), way]

    def report(self, tool: str, way: str) -> Report:
        """Run it to its end, once, and read what the tool says."""
        output = self.output(tool, way)
        if not output.exists():
            command = self.command(tool, way)
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL, timeout=120)
        return read_report(output, OBJECTS)


class Waiting:
    """The program while it waits to be ended; a service as `stop` takes it."""

    def __init__(self, canary: Canary, way: str) -> None:
        self.output = canary.output("memcheck", way)
        self.process = subprocess.Popen(
            canary.command("memcheck", way), stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def pid(self) -> int | None:
        return self.process.pid

    def ask_to_stop(self) -> None:
        self.process.send_signal(signal.SIGINT)


@pytest.fixture(scope="module")
def canary(tmp_path_factory: pytest.TempPathFactory) -> Canary:
    return Canary(tmp_path_factory.mktemp("canary"))


@pytest.fixture
def waiting(canary: Canary) -> Iterator[Callable[[str], Waiting]]:
    started: list[Waiting] = []

    def start(way: str) -> Waiting:
        started.append(Waiting(canary, way))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()


def told(report: Report) -> set[tuple[str, str, str, int, int]]:
    return {
        (g.kind, g.owner, short(place(blamed(g.stack, OBJECTS))), g.bytes, g.blocks)
        for g in report.leaks()
    }


def test_every_loss_is_found_to_the_byte_and_no_other(canary: Canary) -> None:
    report = canary.report("memcheck", "leaks")
    assert (report.tool, report.truncated) == ("memcheck", "")
    assert told(report) == LOSSES | {KEPT}
    copy = next(group for group in report.groups if group.bytes == 6)
    assert [place(frame) for frame in copy.stack][:2] == ["strdup", "canary::lose_a_copy()"]
    assert Path(blamed(copy.stack, OBJECTS).file).name == "canary_engine.cpp"
    (error,) = report.errors
    assert (error.kind, error.owner, error.times) == ("InvalidRead", "engine", 1)
    assert error.also[0][0].endswith("0 bytes after a block of size 16 alloc'd")


def test_a_program_that_loses_nothing_is_told_to_lose_nothing(canary: Canary) -> None:
    report = canary.report("memcheck", "clean")
    assert told(report) == {KEPT}
    assert not report.errors


def test_a_report_cut_anywhere_yields_what_is_whole(canary: Canary, tmp_path: Path) -> None:
    whole = canary.report("memcheck", "leaks")
    text = canary.output("memcheck", "leaks").read_bytes()
    end = text.index(b"</valgrindoutput>")
    cut, found = tmp_path / "cut.xml", []
    for length in (*range(text.index(b"<error>"), end, 499), end):
        cut.write_bytes(text[:length])
        report = read_report(cut, OBJECTS)
        assert report.truncated
        assert sum(g.bytes for g in report.groups) <= sum(g.bytes for g in whole.groups)
        assert {g.name for g in report.groups} <= {g.name for g in whole.groups}
        found.append(sum(g.records for g in report.groups))
    assert found == sorted(found) and found[0] == 0
    assert found[-1] == sum(g.records for g in whole.groups)
    packed = tmp_path / "cut.xml.gz"
    packed.write_bytes(gzip.compress(text)[:-200])
    assert "compressed" in read_report(packed, OBJECTS).truncated


def test_a_killed_program_leaves_its_errors_and_no_leaks(
    waiting: Callable[[str], Waiting],
) -> None:
    one = waiting("wait")
    one.process.kill()
    one.process.wait()
    report = read_report(one.output, OBJECTS)
    assert report.truncated.startswith("it ends in line")
    assert [group.kind for group in report.groups] == ["InvalidRead"]


def test_a_program_is_ended_in_order(waiting: Callable[[str], Waiting], tmp_path: Path) -> None:
    one = waiting("wait")
    stopped = stop_firmly(one, tmp_path, patience_s=60)
    assert (stopped.ended_by, stopped.files) == ("SIGINT", ())
    assert told(read_report(one.output, OBJECTS)) == LOSSES | {KEPT}


def test_a_program_that_hangs_is_looked_into_and_ended_more_firmly(
    waiting: Callable[[str], Waiting], tmp_path: Path
) -> None:
    one = waiting("stuck")
    stopped = stop_firmly(one, tmp_path, patience_s=3)
    assert stopped.ended_by == "SIGTERM"
    (file,) = stopped.files
    assert "main (canary.cpp" in (tmp_path / file).read_text()
    assert told(read_report(one.output, OBJECTS)) == LOSSES | {KEPT}


@pytest.mark.parametrize(("tool", "kind"), [("helgrind", "Race"), ("drd", "ConflictingAccess")])
def test_races_are_found_where_they_are(canary: Canary, tool: str, kind: str) -> None:
    report = canary.report(tool, "races")
    assert report.tool == tool
    races = [group for group in report.errors if group.kind == kind]
    assert {place(blamed(group.stack, OBJECTS)) for group in races} == {"canary::add(void*)"}
    assert {group.owner for group in races} == {"engine"}


@pytest.mark.parametrize("tool", ["massif", "dhat"])
def test_who_holds_memory_at_the_end_is_told(canary: Canary, tool: str) -> None:
    report = canary.report(tool, "leaks")
    assert (report.tool, report.truncated) == (tool, "")
    end = {
        short(place(blamed(group.stack, OBJECTS))): group.bytes
        for group in report.groups
        if group.kind == "end" and group.stack
    }
    assert end.items() >= {
        ("canary::lose_definitely", 2000), ("canary::push", 320), ("canary::keep", 300),
        ("canary::keep_the_middle", 500),
    }  # fmt: skip
    assert any(group.kind == "peak" for group in report.groups)


@pytest.mark.parametrize("tool", ["massif", "dhat"])
def test_a_profile_that_is_cut_says_so(canary: Canary, tool: str, tmp_path: Path) -> None:
    canary.report(tool, "leaks")
    text = canary.output(tool, "leaks").read_text()
    cut = tmp_path / "cut"
    cut.write_text(text[: text.index("n1: ") if tool == "massif" else -20])
    assert read_report(cut, OBJECTS).truncated


def test_what_is_new_gone_and_the_same_since_a_baseline(canary: Canary, tmp_path: Path) -> None:
    leaks, clean = canary.report("memcheck", "leaks"), canary.report("memcheck", "clean")
    assert {change.what for change in compare(leaks, leaks)} == {"same"}
    changes = compare(clean, leaks)
    assert [change.what for change in changes].count("new") == len(LOSSES) + 1
    assert {change.what for change in compare(leaks, clean)} == {"gone", "same"}
    saved = tmp_path / "baseline.json"
    valgrind_report.save_report(leaks, saved)
    assert read_report(saved, OBJECTS) == leaks


def test_more_stacks_than_there_is_room_for_are_summed_up(
    canary: Canary, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = canary.report("memcheck", "leaks")
    monkeypatch.setattr(valgrind_report, "MOST_GROUPS", 3)
    small = canary.report("memcheck", "leaks")
    assert len(small.groups) < len(whole.groups)
    for kind in LOST:
        assert sum(g.bytes for g in small.leaks(kind)) == sum(g.bytes for g in whole.leaks(kind))


def test_what_is_no_report_is_refused_in_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "some.xml"
    for text, words in (
        ("", "no report of Valgrind"),
        ("nothing of the kind", "no report of Valgrind"),
        ("<html><body/></html>", "it begins with <html>"),
        ("<valgrindoutput></valgrindoutput>", "no version of its protocol"),
        ("<valgrindoutput><protocolversion>3</protocolversion></valgrindoutput>", "version 3"),
        ('{"schema": 9}', "no grouped report"),
    ):
        file.write_text(text)
        with pytest.raises(BadInput, match=words):
            read_report(file, OBJECTS)
    with pytest.raises(BadInput, match="no such file"):
        read_report(tmp_path / "missing.xml", OBJECTS)


def test_the_gate_lets_a_thread_begin_after_its_maker_went_on(canary: Canary) -> None:
    gate = f"LD_PRELOAD={canary.folder / 'thread_gate.so'}"
    command = ["env", gate, *canary.command("memcheck", "late")]
    assert subprocess.run(command, check=False).returncode == 0


def test_the_slow_down_is_measured() -> None:
    found = measure_slowdown(["/usr/bin/valgrind", "-q", "--tool=none", "--log-file=/dev/null"])
    assert found.factor > 1.5
    assert found.factor == pytest.approx(found.tool_s / found.plain_s, abs=0.01)
    with pytest.raises(InfraError, match="/nonexistent/tool: No such file"):
        measure_slowdown(["/nonexistent/tool"])


def test_module_valgrind_report(
    canary: Canary, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    canary.report("memcheck", "leaks")
    source = canary.output("memcheck", "leaks")

    def call(check: bool = False, **more: Any) -> dict[str, Any]:
        spec = importlib.util.spec_from_file_location(
            "module", CHECKOUT / "library" / "valgrind_report.py"
        )
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        asked = {"file": str(source), "folder": str(tmp_path), "_ansible_check_mode": check, **more}
        capsys.readouterr()
        with patch_module_args(asked), pytest.raises(SystemExit):
            module.main()
        answer: dict[str, Any] = json.loads(capsys.readouterr().out)
        return answer

    assert call(check=True)["changed"] and not list(tmp_path.iterdir())
    done = call(ended_by="SIGINT")
    assert done["changed"] and done["truncated"] == ""
    # The module knows the router's object files, to which the canary's are the system's.
    assert done["lost_bytes"] == {"engine": 0, "libraries": 0, "python": 0, "system": 2526}
    assert sorted(done["files"]) == sorted(path.name for path in tmp_path.iterdir())
    assert not call(ended_by="SIGINT")["changed"]
    assert not call(check=True, ended_by="SIGINT")["changed"]
    packed = tmp_path / f"valgrind-{source.name}.gz"
    assert gzip.decompress(packed.read_bytes()) == source.read_bytes()
    assert read_report(tmp_path / "valgrind-report.json", OBJECTS).ended_by == "SIGINT"
    large = tmp_path / "large"
    large.mkdir()
    assert call(folder=str(large), most_mib=0)["files"] == ["valgrind-report.json"]
    assert "more than 0 MiB" in read_report(large / "valgrind-report.json", OBJECTS).left_behind
    assert "no such file" in call(file="/nonexistent")["msg"]
