"""Python memory as it is judged and shown, from lines as the launcher writes them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from screamlab.judge.canary import CLIENTS, ROUTER, ZERO, CanaryRun
from screamlab.judge.canary_churn import CYCLES, HOLD_S, KINDS, churn
from screamlab.judge.checks import CHECKS
from screamlab.judge.model import CheckResult
from screamlab.judge.python_memory import python_memory, read
from screamlab.judge.view import Run
from screamlab.report import python_memory as report

# Of the hold from 20 s to 140 s the middle third is churn.
BEGIN_S, END_S, QUIET_S = 60.0, 100.0, 140.0
COUNT = CYCLES * len(KINDS)
SNAPSHOTS = np.arange(30.0, QUIET_S, 2.0)
Leaking = dict[str, float]


def write(run_path: Path, leaking: Leaking, **more: Any) -> Path:
    """What a launcher would have written of a type that keeps `leaking[name]` a cycle."""
    file = run_path / "hosts" / ROUTER / "files" / "instrument" / "snapshots.jsonl"
    file.parent.mkdir(parents=True)
    names = ["builtins.dict", "app.Calm", *leaking]
    lines: list[dict[str, Any]] = [{"kind": "start", "t": ZERO, "notes": ["a note"]}]
    lines += [{"kind": "name", "t": ZERO, "id": at, "name": name} for at, name in enumerate(names)]
    for at_s in SNAPSHOTS:
        turns = round(COUNT * float(np.clip((at_s - BEGIN_S) / (END_S - BEGIN_S), 0, 1)))
        values = {
            str(at): round(10 + leaking.get(name, 0) * turns) for at, name in enumerate(names)
        }
        values["0"] = 1000 + int(at_s) % 7
        base = {
            "blocks": 50_000 + sum(leaking.values()) * turns, "rss_bytes": 1e8, "own_bytes": 0,
            "took_s": 0.2, "cpu_s": 0.1, "uncollectable": {}, "collected": 10,
        }  # fmt: skip
        snapshot = {"kind": "snapshot", "t": ZERO + at_s, "values": values, "reason": "interval"}
        lines.append({**snapshot, **base, **more})
    chain = ["module app", "dict", "list", "app.Leaky"]
    suspect = {"type": "app.Leaky", "grown": 60, "chain": chain, "dot": "digraph {a -> b}"}
    lines.append({"kind": "look", "t": ZERO + QUIET_S, "took_s": 1.0, "suspects": [suspect]})
    file.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"kind": "snap')
    return file


def run_of(path: Path, leaking: Leaking | None = None, tool: str = "objgraph", **more: Any) -> Run:
    found = CanaryRun((), hold_s=HOLD_S, path=path)
    churn(found, ROUTER, CLIENTS[0])
    found.meta["instrument"] = {"tool": tool}
    if leaking is not None:
        write(path, leaking, **more)
    return Run(found)


def asked(run: Run, check_id: str, **params: Any) -> dict[str, CheckResult]:
    spec = CHECKS[check_id]
    if check_id == "python.growth":
        params = {"window_seconds": 4, **params}
    return {result.subject: result for result in spec.function(run, spec.params(**params))}


def test_what_does_not_grow_passes_and_says_what_would_have_been_seen(tmp_path: Path) -> None:
    results = asked(run_of(tmp_path, {}), "python.growth")
    assert {subject: result.status for subject, result in results.items()} == {
        "python/blocks": "pass", "python/types": "pass",
    }  # fmt: skip
    assert "2 of 2 types do not grow" in results["python/types"].reason
    assert "would have been seen" in results["python/types"].reason


def test_a_type_that_grows_fails_alone_with_its_rate_and_holder(tmp_path: Path) -> None:
    results = asked(run_of(tmp_path, {"app.Leaky": 2.0}), "python.growth")
    leaky = results["python/type/app.Leaky"]
    assert (leaky.status, leaky.value) == ("fail", pytest.approx(2.0, rel=0.25))
    assert f"floor 10 before and {10 + 2 * COUNT} after {COUNT} cycles" in leaky.reason
    assert "held by module app → dict → list → app.Leaky" in leaky.reason
    assert results["python/types"].status == "pass"
    left = asked(run_of(tmp_path), "python.growth", leave_out=["python/type/app.*"])
    assert left.keys() == {"python/blocks", "python/types"}


def test_a_traceback_has_a_limit_in_bytes(tmp_path: Path) -> None:
    run = run_of(tmp_path, {"a.py:1 < b.py:2": 500.0}, "tracemalloc")
    results = asked(run, "python.growth")
    assert results["python/traceback/a.py:1 < b.py:2"].status == "fail"
    assert asked(run, "python.growth", max_bytes=1000)["python/tracebacks"].status == "pass"


def test_resident_memory_at_a_method_s_end_is_shown_and_not_judged(tmp_path: Path) -> None:
    run = run_of(tmp_path, {"C.add": 1e6}, "memory_profiler", blocks=7)
    assert asked(run, "python.growth").keys() == {"python/blocks"}
    section = report.python_section(run)
    assert section is not None and section.rows[0].name == "C.add"


def test_garbage_that_cannot_be_freed_fails_with_its_types(tmp_path: Path) -> None:
    run = run_of(tmp_path, {}, uncollectable={"app.Stuck": 3}, cyclic={"app.Ring": 2})
    results = asked(run, "python.garbage")
    assert (results["python/garbage"].status, results["python/garbage"].value) == ("fail", 3)
    assert "3 app.Stuck could not be" in results["python/garbage"].reason
    assert results["python/cycles"].status == "pass"
    strict = asked(run, "python.garbage", max_objects=3, max_cyclic_per_minute=1)
    assert strict["python/garbage"].status == "pass"
    assert strict["python/cycles"].status == "fail"


@pytest.mark.parametrize("check_id", ["python.growth", "python.garbage"])
def test_what_was_not_measured_is_unknown_and_says_why(tmp_path: Path, check_id: str) -> None:
    nothing = run_of(tmp_path)
    nothing.bundle.event(30.0, ROUTER, "memory.missing", "python", reason="it has no process")  # type: ignore[attr-defined]
    (result,) = asked(nothing, check_id).values()
    assert result.status == "unknown" and "it has no process" in result.reason
    without = run_of(tmp_path)
    without.meta["instrument"] = None
    assert {r.status for r in asked(without, check_id).values()} == {"unknown"}


def test_a_tool_that_told_nothing_is_unknown_whatever_else_is_known(tmp_path: Path) -> None:
    run = run_of(tmp_path, {}, "memray", values={})
    (file,) = tmp_path.rglob("snapshots.jsonl")
    lines = [line for line in file.read_text().splitlines(True) if '"name"' not in line]
    error = {"kind": "error", "t": ZERO, "text": "memray cannot be had: no module"}
    file.write_text(json.dumps(error) + "\n" + "".join(lines))
    results = asked(run, "python.growth")
    assert results["python/tracebacks"].status == "unknown"
    assert results["python/tracebacks"].reason == "memray cannot be had: no module"


@pytest.mark.parametrize("check_id", ["python.growth", "python.garbage"])
def test_too_few_snapshots_are_unknown(tmp_path: Path, check_id: str) -> None:
    results = asked(run_of(tmp_path, {"app.Leaky": 2.0}), check_id, min_samples=500)
    assert {result.status for result in results.values()} == {"unknown"}


def test_snapshots_of_the_churn_alone_are_too_few_to_compare(tmp_path: Path) -> None:
    results = asked(run_of(tmp_path, {}), "python.growth", warm_up_seconds=40)
    assert {result.status for result in results.values()} == {"unknown"}
    assert "too few to compare" in results["python/blocks"].reason


def test_without_churn_growth_is_counted_by_the_minute(tmp_path: Path) -> None:
    found = CanaryRun((), hold_s=HOLD_S * 3, path=tmp_path)
    found.meta["instrument"] = {"tool": "objgraph"}
    file = write(tmp_path, {})
    lines = [json.loads(line) for line in file.read_text().splitlines()[:-1]]
    snapshot = next(line for line in lines if line["kind"] == "snapshot")
    kept = [line for line in lines if line["kind"] == "name"]
    for at_s in np.arange(20.0, 380.0, 2.0):
        grown = {"1": 10 + int(at_s / 6)}
        kept.append({**snapshot, "t": ZERO + at_s, "values": {**snapshot["values"], **grown}})
    file.write_text("".join(json.dumps(line) + "\n" for line in kept))
    result = asked(Run(found), "python.growth")["python/type/app.Calm"]
    assert (result.status, result.unit) == ("fail", "objects per minute")
    assert result.value == pytest.approx(10, rel=0.3)


def test_what_a_snapshot_does_not_tell_is_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "snapshots.jsonl"
    head = {"kind": "name", "t": 0.0, "id": 0, "name": "a.B"}
    lines = [head, *({"kind": "snapshot", "t": t, "values": v} for t, v in [
        (1.0, {"0": 5}), (2.0, {}), (3.0, {"0": 0})])]  # fmt: skip
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read(file, "objgraph", 0.0).values.tolist() == [[5, 5, 0]]


def test_the_report_shows_cost_growth_and_holders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    run = run_of(tmp_path, {"app.Leaky": 2.0})
    section, chart = report.python_section(run), report.python_chart(run)
    assert section is not None and chart is not None
    assert section.rows[0].name == chart.traces[0]["name"] == "app.Leaky"
    assert section.costs[0].without is not None and section.costs[0].with_tool is not None
    (suspect,) = section.suspects
    assert (suspect.chain, suspect.picture) == ("module app → dict → list → app.Leaky", "")
    assert "55 snapshots took 200 ms each" in section.took
    assert python_memory(run) is section.memory
