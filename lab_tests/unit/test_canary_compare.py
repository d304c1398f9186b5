"""What came of a canary, held against what it demands."""

from __future__ import annotations

from typing import Any

import pytest

from screamlab.canary.compare import compare
from screamlab.canary.model import Canary
from screamlab.canary.show import page
from screamlab.judge.model import CheckResult, Outcome, RouterId, Verdict

CLEAN = Canary(name="clean", plants="nothing", scale="quick", verdict="PASS")
DROPOUT = Canary.model_validate(
    {
        "name": "dropout",
        "plants": "a dropout",
        "scale": "quick",
        "fault": {"kind": "drop"},
        "verdict": "FAIL",
        "detected": [
            {"check": "audio.dropouts", "subject": "stream/out-01/*", "within_seconds": 2}
        ],
        "follows": [
            {"check": "net.loss", "subject": "receiver/out-01", "because": "it is packets"}
        ],
    }
)


def result(
    check: str, subject: str, status: str = "fail", at_s: float | None = 20.5
) -> CheckResult:
    told: dict[str, Any] = {"id": check, "subject": subject, "status": status, "at_s": at_s}
    return CheckResult(**told, reason="it was so")


SEEN = result("audio.dropouts", "stream/out-01/rtp-01")


def verdict(outcome: Outcome, *results: CheckResult) -> Verdict:
    fine = result("audio.heard", "stream/out-01/rtp-01", "pass", None)
    known = result("audio.heard", "stream/out-01/scream-01", "xfail", None)
    return Verdict(
        run_id="r",
        scenario="canary",
        scale="quick",
        verdict=outcome,
        reason="so",
        router=RouterId(version="0.3.75"),
        checks=(fine, known, *results),
    )


def test_what_is_as_demanded_is_well() -> None:
    found = compare(DROPOUT, verdict("FAIL", SEEN, result("net.loss", "receiver/out-01")), 20.0)
    assert found.ok and found.router == "0.3.75"
    (seen,) = found.seen
    assert (seen.check, seen.subject, seen.after_s) == (SEEN.id, SEEN.subject, 0.5)


def test_a_clean_run_is_well_when_nothing_fires() -> None:
    assert compare(CLEAN, verdict("PASS"), None).ok
    assert compare(CLEAN, verdict("FAIL", SEEN), None).wrong == (
        "FAIL, not PASS: so",
        "audio.dropouts on stream/out-01/rtp-01 is fail: it was so",
    )


@pytest.mark.parametrize(
    ("given", "planted_s", "words"),
    [
        (verdict("PASS"), 20.0, "PASS, not FAIL"),
        (verdict("FAIL", result("audio.dropouts", "stream/out-02/rtp-02")), 20.0, "is not fail"),
        (verdict("FAIL", SEEN), None, "never planted"),
        (verdict("FAIL", SEEN), 18.0, "not fail in time, but fail 2.5 s after the fault"),
        (verdict("FAIL", SEEN), 22.0, "not fail in time, but fail -1.5 s after the fault"),
        (verdict("FAIL", SEEN.but(at_s=None)), 20.0, "fail at no known time"),
        (verdict("FAIL", SEEN.but(status="invalid")), 20.0, "but invalid 0.5 s after"),
        (verdict("FAIL", SEEN, result("router.crash", "p")), 20.0, "router.crash on p is fail"),
        (verdict("FAIL", SEEN, result("lab.cpu", "h", "unknown")), 20.0, "lab.cpu on h is unknown"),
    ],
)
def test_what_is_not_is_told(given: Verdict, planted_s: float | None, words: str) -> None:
    found = compare(DROPOUT, given, planted_s)
    assert not found.ok
    assert any(words in sentence for sentence in found.wrong), found.wrong


def test_the_page_has_a_line_for_each_whether_it_was_run_or_not() -> None:
    text = page([CLEAN, DROPOUT], {"dropout": compare(DROPOUT, verdict("FAIL", SEEN), 20.0)})
    line = "| dropout | a dropout | audio.dropouts on stream/out-01/rtp-01 | 0.5 | FAIL | yes |"
    assert line in text.splitlines()
    assert "| clean | nothing |  |  | not run |  |" in text.splitlines()
