"""The launcher around programs whose memory is known, judged as a router's run is; no router."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from labs import wait_for

from screamlab import paths
from screamlab.evidence.bundle import Bundle
from screamlab.evidence.spool import iter_lines
from screamlab.judge.model import CheckResult
from screamlab.judge.python_memory import PythonMemory, read
from screamlab.judge.run import judge, judge_run
from screamlab.judge.view import Run
from screamlab.observe import memory_launcher
from screamlab.observe.memory_launcher.main import SIGNAL
from screamlab.scenario.plan import Phase, Plan, Worker

LAUNCHER = Path(memory_launcher.__file__).parent
CANARY = paths.CHECKOUT / "lab_tests" / "data" / "python_memory" / "canary.py"
INTERVAL_S = 0.15
CYCLES, EACH, BLOCK = 30, 3, 1000
ROUTER = "router1"
CHECKS = [
    # With each cycle the leak keeps blocks of 3 KiB, and some 350 bytes of objects that hold them.
    {"id": "python.growth", "window_seconds": 0.3, "warm_up_seconds": 0, "settle_seconds": 0.1,
     "max_bytes": 1000},
    {"id": "python.garbage"},
]  # fmt: skip


@dataclass
class Canary:
    """A program under the launcher, in a folder of its own."""

    folder: Path
    tool: str
    process: subprocess.Popen[bytes]

    @property
    def snapshots(self) -> Path:
        """What the launcher writes."""
        return self.folder / "hosts" / ROUTER / "files" / "snapshots.jsonl"

    def told(self, kind: str) -> list[dict[str, Any]]:
        """The lines of a kind so far."""
        if not self.snapshots.exists():
            return []
        return [line for line in iter_lines(self.snapshots) if line and line["kind"] == kind]

    def live(self) -> None:
        """See the program through what it does, measured all the while."""
        wait_for(lambda: bool(self.told("start")), 20)
        self.process.send_signal(SIGNAL)
        wait_for(lambda: bool(self.told("snapshot")), 20)
        (self.folder / "go").touch()

    def end(self) -> None:
        """Look closer, and let the program end."""
        wait_for((self.folder / "lived.json").exists, 40)
        self.process.send_signal(SIGNAL)
        wait_for(lambda: bool(self.told("look") or self.told("error")), 40)
        (self.folder / "end").touch()
        assert self.process.wait(20) == 0
        assert self.told("error") == []

    def judged(self) -> dict[str, CheckResult]:
        """The results of the checks, as on a run with the program in the router's place."""
        if not (self.folder / "run.json").exists():
            make_run(self.folder, self.tool)
        with Bundle(self.folder) as bundle:
            return {result.subject: result for result in judge(Run(bundle), ()).checks}

    def memory(self) -> PythonMemory:
        """What was told."""
        return read(self.snapshots, self.tool, 0.0)


def begin(folder: Path, tool: str, *words: str, options: tuple[str, ...] = ()) -> Canary:
    """Start the canary under the launcher."""
    (folder / "package").mkdir(parents=True)
    shutil.copy(CANARY, folder)
    shutil.copy(CANARY, folder / "package")
    (folder / "package" / "__main__.py").write_text("from package.canary import main\n\nmain()\n")
    command = [
        sys.executable, str(LAUNCHER), f"--tool={tool}", f"--interval={INTERVAL_S}",
        f"--folder=hosts/{ROUTER}/files", *options, *(words or ("canary.py",)),
    ]  # fmt: skip
    return Canary(folder, tool, subprocess.Popen(command, cwd=folder))


def make_run(folder: Path, tool: str) -> None:
    """Make the folder a run, the program the router, and its cycles clients that come and go."""
    lived = json.loads((folder / "lived.json").read_text())
    zero = lived["begun"]
    edges = [0.0, lived["churn"] - zero, lived["cycles"][-1] - zero, lived["ended"] - zero]
    phases = tuple(
        Phase(name=name, kind=kind, from_s=edges[at], to_s=edges[at + 1])
        for at, (name, kind) in enumerate(
            (("quiet", "hold"), ("churn", "churn"), ("quiet-again", "hold"))
        )
    )
    ends = [at - zero for at in lived["cycles"]]
    cycles = [
        {"number": number, "lane": 1, "from_s": end - 0.01, "to_s": end}
        for number, end in enumerate(ends, start=1)
    ]
    spans = {"from_s": 0.0, "to_s": edges[-1]}
    processes = {"processes": [{"name": "router", "unit": "canary.service"}]}
    churn = {"group": "canary", "cycles": cycles}
    workers = (
        Worker(name="sampler", kind="sampler", spec=processes, **spans),
        Worker(name="churn-canary", kind="churn_config", spec=churn, **spans),
    )
    plan = Plan(
        run_id="canary", host=ROUTER, scenario="canary", scale="quick", seed=1,
        duration_s=edges[-1], phases=phases, workers=workers,
    )  # fmt: skip
    (folder / "plans").mkdir()
    (folder / "plans" / f"{ROUTER}.json").write_text(plan.model_dump_json())
    told = [("agent.start", "agent", 0.0, {}), ("agent.end", "agent", edges[-1], {})]
    told += [
        ("churn.cycle", "churn/canary", cycle["from_s"], {"number": cycle["number"], "ok": True})
        for cycle in cycles
    ]
    lines = [
        {"t": zero + at_s, "host": ROUTER, "kind": kind, "subject": subject, **fields}
        for kind, subject, at_s, fields in told
    ]
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    (folder / "events.jsonl").write_text(text)
    (folder / "hosts" / ROUTER / "events-agent.jsonl").write_text(text)
    record = {
        "run_id": "canary", "scenario": "canary", "scale": "quick", "zero": zero,
        "phases": [phase.model_dump() for phase in phases], "instrument": {"tool": tool},
        "checks": CHECKS, "router": {"version": "0.3.75", "method": "wheel"},
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(record))


@pytest.fixture(scope="module")
def canaries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Canary]]:
    """All canaries, which live side by side."""
    root = tmp_path_factory.mktemp("canaries")
    begun = {
        "objgraph": begin(root / "objgraph", "objgraph", options=("--save-all=1",)),
        "clean": begin(root / "clean", "objgraph", "canary.py", "clean"),
        "tracemalloc": begin(root / "tracemalloc", "tracemalloc"),
        "memray": begin(root / "memray", "memray"),
        "methods": begin(
            root / "methods", "memory_profiler", "-m", "package", "hold",
            options=("--classes=ConfigurationManager,SipManager",),
        ),
    }  # fmt: skip
    try:
        for canary in begun.values():
            canary.live()
        for canary in begun.values():
            canary.end()
        yield begun
    finally:
        for canary in begun.values():
            canary.process.kill()
            canary.process.wait()


def failing(results: dict[str, CheckResult]) -> set[str]:
    """The subjects that failed."""
    return {subject for subject, result in results.items() if result.status == "fail"}


def grown(memory: PythonMemory, name: str) -> float:
    """By how much what has `name` in its name grew from the first to the last snapshot."""
    rows = [row for row, known in enumerate(memory.names) if name in known.split(" < ")[0]]
    return float(sum(memory.values[row, -1] - memory.values[row, 0] for row in rows))


def test_a_type_that_grows_is_found_with_its_figure_and_who_holds_it(
    canaries: dict[str, Canary],
) -> None:
    results = canaries["objgraph"].judged()
    assert failing(results) == {
        "python/type/__main__.Leaky", "python/type/__main__.Stuck", "python/garbage",
        "python/blocks",
    }  # fmt: skip
    result = results["python/type/__main__.Leaky"]
    assert result.value == pytest.approx(EACH, rel=0.2)
    assert f"after {CYCLES} cycles" in result.reason
    assert result.reason.endswith("held by module __main__ → dict → list → __main__.Leaky")
    assert grown(canaries["objgraph"].memory(), "__main__.Leaky") == CYCLES * EACH
    (suspect,) = (
        one for one in canaries["objgraph"].memory().suspects.values() if "Leaky" in one["type"]
    )
    assert suspect["dot"].startswith("digraph") and suspect["grown"] == CYCLES * EACH


def test_garbage_is_told_by_type_what_cannot_be_freed_and_what_only_the_collector_frees(
    canaries: dict[str, Canary],
) -> None:
    results = canaries["objgraph"].judged()
    assert results["python/garbage"].value == CYCLES
    assert f"{CYCLES} __main__.Stuck could not be" in results["python/garbage"].reason
    assert results["python/cycles"].status == "pass"
    counted = re.search(r"(\d+) __main__.Ring$", results["python/cycles"].reason)
    assert counted is not None and CYCLES / 2 < int(counted[1]) <= CYCLES


def test_the_report_shows_what_grew_and_who_holds_it(canaries: dict[str, Canary]) -> None:
    canaries["objgraph"].judged()
    folder = canaries["objgraph"].folder
    judge_run(folder, paths.CHECKOUT / "lab_tests" / "known_issues.yml")
    text = (folder / "report.html").read_text()
    assert "module __main__ → dict → list → __main__.Leaky" in text
    assert 'id="chart-python-memory"' in text


def test_a_program_that_keeps_nothing_passes(canaries: dict[str, Canary]) -> None:
    results = canaries["clean"].judged()
    assert {result.status for result in results.values()} == {"pass"}
    assert "would have been seen" in results["python/types"].reason


@pytest.mark.parametrize(
    ("tool", "each"), [("tracemalloc", sys.getsizeof(bytearray(BLOCK))), ("memray", BLOCK + 1)]
)
def test_a_traceback_that_grows_is_found_with_its_bytes(
    canaries: dict[str, Canary], tool: str, each: int
) -> None:
    results = canaries[tool].judged()
    line = next(
        number
        for number, text in enumerate(CANARY.read_text().splitlines(), start=1)
        if "bytearray(BLOCK)" in text
    )
    (found,) = (s for s in failing(results) if s.startswith("python/traceback/"))
    assert f"canary.py:{line}" in found.split(" < ")[0]
    assert results[found].value == pytest.approx(EACH * each, rel=0.2)
    assert grown(canaries[tool].memory(), f"canary.py:{line}") == CYCLES * EACH * each


def test_methods_are_measured_line_by_line_and_keep_their_signature(
    canaries: dict[str, Canary],
) -> None:
    memory = canaries["methods"].memory()
    add = next(method for method in memory.methods if method["name"].endswith(".add"))
    assert add["calls"] == CYCLES
    by_text = {line["text"]: line for line in add["lines"]}
    assert by_text["block = bytearray(size)"]["mib"] == pytest.approx(CYCLES, rel=0.1)
    assert by_text["return name"]["mib"] == pytest.approx(0, abs=0.5)
    assert memory.notes == (
        "ConfigurationManager.wait is not measured: it waits half way",
        "there is no class SipManager",
    )
    assert canaries["methods"].judged()["python/blocks"].status == "fail"
