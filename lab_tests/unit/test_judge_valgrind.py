"""Canaries of the checks on Valgrind's reports: each trips its own, a clean report trips none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from screamlab.evidence.valgrind_keep import REPORT_FILE
from screamlab.evidence.valgrind_report import BASELINE_FILE, Group, Report, save_report
from screamlab.evidence.valgrind_stack import Objects, blamed, normalised, owner_of, short
from screamlab.evidence.valgrind_xml import Frame
from screamlab.judge.canary import CLIENTS, ROUTER, CanaryRun
from screamlab.judge.canary_churn import HOLD_S, churn
from screamlab.judge.checks import CHECKS
from screamlab.judge.model import CheckResult
from screamlab.judge.run import judge
from screamlab.judge.view import Run
from screamlab.report.html import render_html
from screamlab.report.valgrind import flame

SITE = "/opt/screamrouter/venv/lib/python3.11/site-packages"
ENGINE = f"{SITE}/screamrouter_audio_engine.cpython-311-x86_64-linux-gnu.so"
MALLOC = Frame("/usr/libexec/valgrind/vgpreload_memcheck-amd64-linux.so", "malloc")
STRDUP = Frame("/usr/lib/x86_64-linux-gnu/libc.so.6", "strdup")
MIX = Frame(ENGINE, "void sr::Mixer<float>::mix(int, std::vector<int> const&)", "src/mix.cpp", 7)
VECTOR = Frame(ENGINE, "std::vector<int, std::allocator<int> >::reserve(unsigned long)")
ALSA = Frame(f"{SITE}/screamrouter.libs/libasound-0ce.so.2", "snd_config_update")
EVAL = Frame("/usr/bin/python3.11", "_PyEval_EvalFrameDefault")
CALL = Frame("/usr/bin/python3.11", "PyObject_Call")
NUMPY = Frame(f"{SITE}/numpy/core/_multiarray.so", "array_new")
OBJECTS = Objects()


def group(kind: str, owner: Any, *stack: Frame, size: int = 0, times: int = 0) -> Group:
    blocks = 1 if size else 0
    return Group(kind, owner, stack, "", (), 1, times, size, blocks)


CLEAN = (
    group("reachable", "engine", MIX, EVAL, size=640),
    group("definitely", "python", NUMPY, EVAL, size=96),
    group("possibly", "engine", MIX, EVAL, size=400),
    group("InvalidRead", "python", EVAL, times=2),
)
LEAK = group("definitely", "engine", STRDUP, VECTOR, MIX, EVAL, size=5000)
LIBRARY = group("indirectly", "libraries", ALSA, MIX, EVAL, size=64)
ERROR = group("InvalidWrite", "engine", MIX, EVAL, times=3)


def report(*more: Group, truncated: str = "", tool: str = "memcheck") -> Report:
    return Report(tool, 1, truncated=truncated, groups=[*more, *CLEAN])


@pytest.fixture
def run(tmp_path: Path) -> CanaryRun:
    (tmp_path / "hosts" / ROUTER).mkdir(parents=True)
    found = CanaryRun(path=tmp_path)
    found.meta |= {"instrument": {"tool": "memcheck"}, "slowdown": 40.0}
    return found


def asked(run: CanaryRun, check: str, told: Report | None, **params: Any) -> list[CheckResult]:
    if told is not None:
        save_report(told, run.path / "hosts" / ROUTER / REPORT_FILE)
    spec = CHECKS[f"valgrind.{check}"]
    return spec.function(Run(run), spec.params(**params))


def statuses(results: list[CheckResult]) -> dict[str, str]:
    return {result.subject: result.status for result in results}


@pytest.mark.parametrize("check", ["leaks", "errors"])
def test_a_clean_report_passes(run: CanaryRun, check: str) -> None:
    passed = {"valgrind/engine": "pass", "valgrind/libraries": "pass"}
    assert statuses(asked(run, check, report())) == passed


def test_what_the_engine_and_its_libraries_lose_is_named(run: CanaryRun) -> None:
    engine, library = asked(run, "leaks", report(LEAK, LIBRARY))
    assert (engine.subject, engine.status, engine.value) == (
        "valgrind/engine/sr::Mixer::mix", "fail", 5000,
    )  # fmt: skip
    assert "5000 bytes in 1 blocks definitely lost; strdup < std::vector::reserve" in engine.reason
    assert "(mix.cpp:7)" in engine.reason
    assert (library.subject, library.value) == ("valgrind/libraries/snd_config_update", 64)
    allowed = asked(run, "leaks", None, max_bytes=5000)
    assert statuses(allowed) == {"valgrind/engine": "pass", "valgrind/libraries": "pass"}
    assert asked(run, "leaks", None, kinds=["possibly"])[0].value == 400
    assert "no such kind: lost" in asked(run, "leaks", None, kinds=["lost"])[0].reason


def test_many_functions_that_lose_are_summed_up(run: CanaryRun) -> None:
    many = [
        group("definitely", "engine", Frame(ENGINE, f"sr::f{at:02d}()"), size=10 + at)
        for at in range(25)
    ]
    results = asked(run, "leaks", report(*many), max_bytes=100)
    own = [result for result in results if result.subject.startswith("valgrind/engine")]
    assert {result.status for result in own} == {"fail"}
    assert len(own) == 21 and own[-1].value == 10 + 11 + 12 + 13 + 14
    assert sum(result.value or 0 for result in own) == sum(g.bytes for g in many)


def test_a_report_that_is_cut_off_never_passes(run: CanaryRun) -> None:
    unknown = {"valgrind/engine": "unknown", "valgrind/libraries": "unknown"}
    cut = report(truncated="it ends in line 9")
    assert statuses(asked(run, "leaks", cut)) == unknown
    assert statuses(asked(run, "errors", cut)) == unknown
    found = statuses(asked(run, "leaks", report(LEAK, truncated="it ends in line 9")))
    assert found["valgrind/engine/sr::Mixer::mix"] == "fail"


def test_errors_of_the_engine_are_counted_by_place(run: CanaryRun) -> None:
    engine, _library = asked(run, "errors", report(ERROR))
    assert (engine.status, engine.value) == ("fail", 1)
    assert "most often (3 ×) InvalidWrite: sr::Mixer::mix" in engine.reason
    assert asked(run, "errors", None, leave_out_kinds=["InvalidWrite"])[0].status == "pass"


def test_only_what_a_baseline_has_not_fails(run: CanaryRun) -> None:
    save_report(report(LEAK), run.path / BASELINE_FILE)
    same = asked(run, "baseline", report(LEAK))
    assert statuses(same) == {"valgrind/engine": "pass"}
    grown = group("definitely", "engine", *LEAK.stack, size=5008)
    more = asked(run, "baseline", report(grown, ERROR))
    assert [(r.status, r.value, r.reason.partition(":")[0]) for r in more] == [
        ("fail", 8, "grown"), ("fail", 3, "new"),
    ]  # fmt: skip
    assert "1 are gone" in asked(run, "baseline", report())[0].reason
    assert asked(run, "baseline", report(tool="drd"))[0].status == "unknown"


def test_too_few_operations_make_the_run_invalid_and_never_failed(run: CanaryRun) -> None:
    spec = CHECKS["valgrind.operations"]
    assert spec.function(Run(run), spec.params())[0].status == "unknown"
    churned = CanaryRun(path=run.path, hold_s=HOLD_S)
    churn(churned, ROUTER, CLIENTS[0])
    assert {r.status for r in spec.function(Run(churned), spec.params())} == {"pass"}
    for event in churned.told:
        if event["subject"] == "churn/webrtc" and event["number"] > 5:
            event |= {"ok": False, "error": "no sound"}
    found = {r.subject: r for r in spec.function(Run(churned), spec.params())}
    assert found["churn/webrtc"].status == "invalid" and found["churn/rtp"].status == "pass"
    assert "5 of 15 planned cycles succeeded; first failure: no sound" in (
        found["churn/webrtc"].reason
    )


def test_without_a_report_nothing_is_known(run: CanaryRun) -> None:
    for check in ("leaks", "errors"):
        assert "no report" in asked(run, check, None)[0].reason
    assert "names no baseline" in asked(run, "baseline", None)[0].reason
    assert "which does not tell this" in asked(run, "leaks", report(tool="massif"))[0].reason
    run.meta["instrument"] = {"tool": "objgraph"}
    assert "under no tool" in asked(run, "leaks", report())[0].reason
    del run.meta["instrument"]
    assert "under no tool" in asked(run, "leaks", report())[0].reason


def test_a_report_that_came_home_broken_leaves_the_run_its_verdict(run: CanaryRun) -> None:
    run.meta["checks"] = [{"id": "valgrind.leaks"}]
    (run.path / "hosts" / ROUTER / REPORT_FILE).write_text('{"schema":1,"groups":[')
    view = Run(run)
    verdict = judge(view, ())
    assert "is no grouped report" in verdict.checks[0].reason
    assert "leaks" in render_html(view, verdict, ())


def test_a_stack_is_of_the_innermost_that_is_not_the_systems() -> None:
    stack = normalised((MALLOC, STRDUP, VECTOR, MIX, EVAL, CALL, NUMPY, EVAL), OBJECTS)
    assert stack == (STRDUP, VECTOR, MIX, EVAL)
    assert owner_of(stack, OBJECTS) == "engine"
    assert blamed(stack, OBJECTS) == MIX
    assert owner_of((STRDUP, EVAL, MIX), OBJECTS) == "python"
    assert owner_of((STRDUP,), OBJECTS) == "system"


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (MIX.function, "sr::Mixer::mix"),
        ("std::vector<int> sr::A<float>::b(int, char) const", "sr::A::b"),
        ("sr::(anonymous namespace)::f(int)", "sr::anonymous::f"),
        ("sr::run()::{lambda()#1}::operator()() const", "sr::run::{lambda#1}::call"),
        ("operator new(unsigned long)", "operator_new"),
        ("sr::add(int) [clone .isra.0]", "sr::add"),
        ("main", "main"),
    ],
)
def test_names_are_short(function: str, expected: str) -> None:
    assert short(function) == expected


def test_the_report_shows_stacks_and_a_flame_graph_of_lost_bytes(run: CanaryRun) -> None:
    asked(run, "leaks", report(LEAK, LIBRARY, ERROR))
    save_report(report(), run.path / BASELINE_FILE)
    view = Run(run)
    page = render_html(view, judge(view, ()), ())
    assert "What memcheck found" in page and "40 times slower" in page
    assert "valgrind-flame" in page and "What is new, gone or grown" in page
    drawn = flame([LEAK, LIBRARY])
    assert drawn is not None and drawn["values"][0] == 5064
    top = [at for at, parent in enumerate(drawn["parents"]) if parent == "0"]
    assert [(drawn["labels"][at], drawn["values"][at]) for at in top] == [
        ("_PyEval_EvalFrameDefault", 5064)
    ]
    assert flame([ERROR]) is None
