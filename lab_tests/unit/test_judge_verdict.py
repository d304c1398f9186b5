"""The verdict: what outweighs what, its sentence, its outward form and how it is shown."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import pytest
from rich.console import Console

from screamlab.judge.canary import CanaryRun
from screamlab.judge.checks import validate_check, validate_checks
from screamlab.judge.model import CheckResult, Status, Verdict
from screamlab.judge.run import judge
from screamlab.judge.table import print_verdict
from screamlab.judge.verdict import give_verdict, outcome
from screamlab.judge.view import Run


def result(status: Status, subject: str = "stream/a/b") -> CheckResult:
    return CheckResult(
        id="audio.dropouts", subject=subject, status=status, value=3, unit="per minute",
        threshold=1, samples=40, reason="3 dropouts, first at 41.2 s (hold)",
    )  # fmt: skip


@pytest.mark.parametrize(
    "statuses,infra,expected,code",
    [
        (["pass", "xfail", "xpass"], None, "PASS", 0),
        (["pass", "fail", "invalid", "unknown"], None, "FAIL", 1),
        (["pass", "invalid"], None, "INVALID", 3),
        (["pass", "unknown"], None, "INVALID", 3),
        ([], None, "INVALID", 3),
        (["pass", "fail"], "client2 is down", "INFRA", 4),
    ],
)
def test_what_outweighs_what(
    statuses: list[Status], infra: str | None, expected: str, code: int
) -> None:
    verdict, reason = outcome([result(status) for status in statuses], infra)
    assert verdict == expected and reason
    made = Verdict.model_validate(
        {"run_id": "r", "scenario": "s", "scale": "quick", "verdict": verdict, "reason": reason,
         "router": {}}
    )  # fmt: skip
    assert made.exit_code == code


def test_the_sentence_names_check_subject_time_and_number() -> None:
    _, reason = outcome([result("pass"), result("fail"), result("fail")], None)
    assert reason == (
        "audio.dropouts on stream/a/b: 3 dropouts, first at 41.2 s (hold) (and 1 more)"
    )


def test_unexpected_passes_and_expected_failures_are_mentioned() -> None:
    _, reason = outcome([result("xfail"), result("xpass", subject="stream/c/d")], None)
    assert "1 expected failures" in reason and "stream/c/d" in reason and "known_issues" in reason


def without_host(run: CanaryRun) -> None:
    run.missing_reasons["client2"] = "ssh: no route to host"


def without_event(kind: str) -> Any:
    def plant(run: CanaryRun) -> None:
        run.told = [e for e in run.told if (e["kind"], e["host"]) != (kind, "client2")]

    return plant


def unstarted(run: CanaryRun) -> None:
    run.meta["zero"] = None


@pytest.mark.parametrize(
    "plant,words",
    [
        (without_host, "client2 is not in the evidence: ssh: no route to host"),
        (without_event("agent.start"), "the agent on client2 never started"),
        (without_event("agent.end"), "the agent on client2 never ended"),
        (unstarted, "planned and never started"),
        (lambda run: run.plans.clear(), "no plan"),
    ],
)
def test_hosts_that_failed_are_infra_whatever_else_failed(plant: Any, words: str) -> None:
    run = CanaryRun([{"id": "router.alive"}])
    run.event(30.0, "router1", "process.gone", "process/router")
    plant(run)
    verdict = judge(Run(run), ())
    assert (verdict.verdict, verdict.exit_code) == ("INFRA", 4)
    assert words in verdict.reason


def test_verdict_json_has_its_fixed_form() -> None:
    run = CanaryRun([{"id": "router.cpu"}])
    told = json.loads(judge(Run(run), ()).to_json())
    assert list(told) == [
        "schema", "run_id", "scenario", "scale", "verdict", "reason", "router", "checks",
    ]  # fmt: skip
    assert told["schema"] == 1
    assert list(told["router"].items())[:2] == [("version", "0.3.75"), ("method", "wheel")]
    assert list(told["checks"][0]) == [
        "id", "subject", "status", "value", "unit", "threshold", "samples", "at_s", "reason",
    ]  # fmt: skip


def test_a_verdict_reads_back() -> None:
    verdict = judge(Run(CanaryRun([{"id": "router.cpu"}])), ())
    assert Verdict.model_validate_json(verdict.to_json()) == verdict


def test_numbers_that_are_none_and_lines_that_are_many_stay_out_of_json() -> None:
    odd = CheckResult(
        id="log.errors", subject="u", status="fail", value=float("nan"), threshold=float("inf"),
        reason="first\nsecond\x1b[31m \x00third",
    )  # fmt: skip
    assert (odd.value, odd.threshold) == (None, None)
    assert odd.reason == "first second [31m third"


def shown(results: list[CheckResult], *, every: bool = False) -> list[str]:
    verdict = give_verdict(Run(CanaryRun()), results)
    console = Console(file=io.StringIO(), width=60)
    print_verdict(verdict, console, every=every)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_the_last_line_is_the_verdict_unbroken_where_there_is_no_terminal() -> None:
    lines = shown([result("pass"), result("pass"), result("fail")])
    assert lines[-1] == (
        "FAIL canary quick: audio.dropouts on stream/a/b: 3 dropouts, first at 41.2 s (hold)"
    )
    assert lines[0].startswith("fail") and "2 subjects" in lines[1] and len(lines) == 3


def test_every_result_is_shown_on_demand() -> None:
    assert len(shown([result("pass"), result("pass")], every=True)) == 3


def test_a_terminal_gets_a_table() -> None:
    verdict = give_verdict(Run(CanaryRun()), [result("fail")])
    console = Console(file=io.StringIO(), width=200, force_terminal=True)
    print_verdict(verdict, console)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "threshold" not in text and "subject" in text and "\x1b[" in text


@pytest.mark.parametrize(
    "item,words",
    [
        ({}, "id: every check needs one"),
        ({"id": "audio.smell"}, "there is no check 'audio.smell'; known: "),
        ({"id": "audio.dropouts", "max": 1}, "max: there is no such parameter; known: min_samples"),
        ({"id": "audio.dropouts", "max_per_minute": -1}, "audio.dropouts: max_per_minute: "),
        ({"id": "audio.dropouts", "max_per_minute": "few"}, "not 'few'"),
        ({"id": "router.memory", "min_samples": 0}, "router.memory: min_samples"),
    ],
)
def test_a_wrong_check_is_told_by_its_key(item: Mapping[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=".") as caught:
        validate_check(item)
    assert words in str(caught.value)


def test_right_checks_are_accepted_and_the_same_twice_is_not() -> None:
    good = {"id": "audio.dropouts", "max_per_minute": 1, "scales": ["full"]}
    validate_checks([good, {"id": "router.alive"}])
    with pytest.raises(ValueError, match="twice"):
        validate_checks([good, good])
