"""Crashes as the judge and the report see them: named, grouped, and before everything else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from screamlab.evidence.journal import Entry
from screamlab.judge.canary import ROUTER, UNIT, ZERO, CanaryRun
from screamlab.judge.crashes import down, groups, router_crashes
from screamlab.judge.model import CheckResult, Verdict
from screamlab.judge.run import judge
from screamlab.judge.view import Run
from screamlab.judge.windows import Window
from screamlab.report.crashes import crash_groups
from screamlab.report.html import render_html

DATA = Path(__file__).parents[1] / "data"
CHECKS = [{"id": check_id} for check_id in ("lab.crash", "router.crash", "router.stop")]
HOLD_AT = 30.0
IMPAIRED_AT = 65.0


@pytest.fixture
def run(tmp_path: Path) -> CanaryRun:
    for host in (ROUTER, "client1"):
        (tmp_path / "hosts" / host).mkdir(parents=True)
    return CanaryRun(CHECKS, path=tmp_path)


def crash(
    run: CanaryRun, at_s: float, pid: int, data: str, *, host: str = ROUTER, name: str = "router"
) -> None:
    """Let a process leave a core, of which gdb says what stands in a file of the tests."""
    file = f"crash-{pid}-stacks.txt"
    shutil.copy(DATA / data, run.path / "hosts" / host / file)
    found = {"pid": pid, "signal": "SIGABRT", "command": f"python -m {name}", "build_id": "ab12"}
    run.event(at_s, host, "core.found", f"process/{name}", **found)
    run.event(at_s + 3, host, "core.kept", f"process/{name}", pid=pid, files=[file, "core.xz"])


def died(run: CanaryRun, at_s: float, status: int, code: str = "dumped") -> None:
    """Let systemd tell of the end of the router's main process."""
    fields = {
        "MESSAGE_ID": "98e322203f7a4ed290d09fe03c09fe15", "EXIT_CODE": code,
        "EXIT_STATUS": str(status), "UNIT": UNIT, "_SYSTEMD_UNIT": UNIT,
    }  # fmt: skip
    run.logged.append(Entry(ZERO + at_s, fields))


def judged(run: CanaryRun) -> Verdict:
    return judge(Run(run), ())


def results(run: CanaryRun, check_id: str) -> list[CheckResult]:
    return [result for result in judged(run).checks if result.id == check_id]


def test_a_crash_is_named_by_its_function_and_the_same_ones_are_one(run: CanaryRun) -> None:
    crash(run, HOLD_AT, 7, "crash_throw_gdb.txt")
    crash(run, HOLD_AT + 10, 8, "crash_faulthandler_gdb.txt")
    crash(run, HOLD_AT + 20, 9, "crash_throw_gdb.txt")
    two, one = groups(router_crashes(Run(run)))
    assert (len(two.crashes), two.title) == (2, "SIGABRT in canary::run (c.cpp:8)")
    assert (len(one.crashes), one.function) == (1, "__strlen_evex")
    first, second = results(run, "router.crash")
    assert (first.status, first.value) == ("fail", 2)
    assert first.subject == "process/router/SIGABRT/canary::run"
    assert "2 times, first at 30.0 s (hold)" in first.reason
    assert "crash-7-stacks.txt, core.xz" in first.reason
    assert second.value == 1


def test_a_crash_is_told_before_all_else_and_whatever_became_of_the_hosts(run: CanaryRun) -> None:
    run.meta["checks"] = [{"id": "router.responsive"}, *CHECKS]
    run.change("router", "api_ok", lambda t, v: v * (t < HOLD_AT))
    crash(run, HOLD_AT, 7, "crash_throw_gdb.txt")
    verdict = judged(run)
    assert verdict.verdict == "FAIL"
    assert verdict.reason.startswith("router.crash on process/router/SIGABRT/canary::run")
    run.told = [event for event in run.told if event["kind"] != "agent.end"]
    assert judged(run).verdict == "FAIL"
    run.told = [event for event in run.told if event["kind"] != "core.found"]
    assert judged(run).verdict == "INFRA"


def test_the_time_until_the_api_answers_again_is_told(run: CanaryRun) -> None:
    run.change("router", "api_ok", lambda t, v: v * ((t < HOLD_AT) | (t >= HOLD_AT + 7)))
    crash(run, HOLD_AT, 7, "crash_throw_gdb.txt")
    run.event(HOLD_AT + 1, ROUTER, "process.gone", "process/router", pid=7)
    run.event(HOLD_AT + 2, ROUTER, "process.restarted", "process/router", pid=8)
    assert down(Run(run)) == (Window(HOLD_AT, HOLD_AT + 7),)
    (result,) = results(run, "router.crash")
    assert "it was restarted 1 ×, and gone for 7.0 s in all" in result.reason


def test_a_death_without_a_core_is_a_crash_too_and_one_with_a_core_counts_once(
    run: CanaryRun,
) -> None:
    crash(run, HOLD_AT, 7, "crash_throw_gdb.txt")
    died(run, HOLD_AT + 1, 6)
    died(run, HOLD_AT + 2, 11, "killed")
    died(run, HOLD_AT + 3, 9, "killed")
    found = router_crashes(Run(run))
    assert [(c.signal, c.error) for c in found] == [
        ("SIGABRT", ""), ("SIGSEGV", "it left no core"),
    ]  # fmt: skip


def test_a_client_that_crashes_makes_the_run_invalid_and_is_not_the_routers(
    run: CanaryRun,
) -> None:
    crash(run, HOLD_AT, 7, "crash_throw_gdb.txt", host="client1", name="agent")
    verdict = judged(run)
    assert verdict.verdict == "INVALID"
    (bad,) = [result for result in verdict.checks if result.status != "pass"]
    assert (bad.id, bad.status) == ("lab.crash", "invalid")
    assert bad.subject == "client1/SIGABRT/canary::run" and "python -m agent" in bad.reason


@pytest.mark.parametrize("host,name,check", [
    (ROUTER, "router", "router.crash"), ("client1", "agent", "lab.crash"),
])  # fmt: skip
def test_where_a_core_would_not_have_been_seen_nothing_is_known(
    run: CanaryRun, host: str, name: str, check: str
) -> None:
    def without(kind: str) -> None:
        run.told = [
            e for e in run.told if (e["kind"], e["host"], e["subject"]) != (kind, host, subject)
        ]

    subject = f"process/{name}"
    without("core.watched")
    (bad,) = [r for r in results(run, check) if r.status != "pass"]
    assert bad.status == "unknown" and "nobody looked" in bad.reason
    without("core.canary")
    run.event(-3, host, "core.canary", subject, ok=False, reason="its limit for cores is 0")
    (bad,) = [r for r in results(run, check) if r.status != "pass"]
    assert bad.status == "unknown" and "its limit for cores is 0" in bad.reason
    assert judged(run).verdict == "INVALID"


@pytest.mark.parametrize(
    "told,status,words",
    [
        ({"outcome": "ended", "seconds": 21.0}, "fail", "21.0 s after SIGINT"),
        ({"outcome": "killed", "seconds": 30.1, "files": ["stacks-gdb-stop.txt"]}, "fail",
         "was killed; stacks of its threads before that: stacks-gdb-stop.txt"),
        ({"outcome": "failed", "seconds": 3.0, "reason": "the result core-dump"}, "fail",
         "with the result core-dump"),
        ({"outcome": "absent"}, "unknown", "did not run any more"),
    ],
)  # fmt: skip
def test_a_stop_that_is_no_clean_one_is_judged(
    run: CanaryRun, told: dict[str, object], status: str, words: str
) -> None:
    run.told = [event for event in run.told if event["kind"] != "router.stopped"]
    run.event(120.0, ROUTER, "router.stopped", "router", **told)
    (result,) = results(run, "router.stop")
    assert result.status == status and words in result.reason


def test_the_report_shows_phase_impairment_and_what_came_before(run: CanaryRun) -> None:
    assert crash_groups(Run(run)) == []
    crash(run, IMPAIRED_AT, 7, "crash_throw_gdb.txt")
    run.log(IMPAIRED_AT - 1, "about to mix")
    run.log(IMPAIRED_AT - 60, "long ago")
    run.log(IMPAIRED_AT + 0.1, "Fatal Python error: Aborted")
    run.log(IMPAIRED_AT + 0.1, "Thread 0x7f01 (most recent call first):")
    run.log(IMPAIRED_AT + 0.1, "Current thread 0x7f02 (most recent call first):")
    run.log(IMPAIRED_AT + 0.1, '  File "sip.py", line 7 in ring')
    run.log(IMPAIRED_AT + 2, "a restarted router")
    run.event(IMPAIRED_AT - 2, "client1", "churn.cycle", "churn/rtp")
    (one,) = crash_groups(Run(run))
    assert one.when == "65.0 s (impaired)" and one.impaired[0].endswith("on client1")
    assert one.frames[0] == ("canary::run", "c.cpp:8")
    assert one.lines == ("64.0 s about to mix",)
    assert [line.partition(" (")[0] for line in one.python] == [
        "Fatal Python error: Aborted", "Current thread 0x7f02", '  File "sip.py", line 7 in ring',
        "Thread 0x7f01",
    ]  # fmt: skip
    assert one.events[-1] == "63.0 s churn.cycle churn/rtp on client1"
    page = render_html(Run(run), judged(run), ())
    assert "1 × SIGABRT in canary::run (c.cpp:8)" in page and "about to mix" in page
