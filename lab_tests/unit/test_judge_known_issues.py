"""Known issues: what they turn into what, and how a wrong file is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from screamlab.errors import BadInput
from screamlab.judge.known_issues import KnownIssue, apply, load_known_issues
from screamlab.judge.model import CheckResult, Status

REPOSITORY = Path(__file__).parents[2]
SCREAM = "stream/out-of-scream-01/scream-01"
RTP = "stream/out-l16-01/rtp-l16-01"


def result(status: Status, subject: str = SCREAM, check: str = "audio.heard") -> CheckResult:
    return CheckResult(id=check, subject=subject, status=status, reason="it was so")


def issue(**changes: object) -> KnownIssue:
    entry = {
        "id": "silent",
        "versions": ">=0.3.73,<=0.3.75",
        "check": "audio.heard",
        "subject": "stream/*/scream-*",
        "reason": "no timestamp",
    }
    return KnownIssue.model_validate(entry | changes)


def statuses(results: list[CheckResult]) -> list[str]:
    return [one.status for one in results]


def test_an_expected_failure_is_xfail_and_says_why() -> None:
    (told,) = apply([result("fail")], [issue()], "0.3.75")
    assert told.status == "xfail"
    assert "it was so" in told.reason and "no timestamp" in told.reason and "silent" in told.reason


@pytest.mark.parametrize("version", ["0.3.72", "0.3.76", None, "main"])
def test_another_version_has_no_excuse(version: str | None) -> None:
    assert statuses(apply([result("fail")], [issue()], version)) == ["fail"]


@pytest.mark.parametrize("version", ["0.3.73", "0.3.74+g1234", "0.3.75rc1"])
def test_the_versions_between_have(version: str) -> None:
    assert statuses(apply([result("fail")], [issue()], version)) == ["xfail"]


def test_another_subject_or_check_has_no_excuse() -> None:
    told = [result("fail", RTP), result("fail", check="audio.dropouts")]
    assert statuses(apply(told, [issue()], "0.3.75")) == ["fail", "fail"]


@pytest.mark.parametrize("status", ["unknown", "invalid"])
def test_what_is_not_known_stays_so(status: Status) -> None:
    assert statuses(apply([result(status)], [issue()], "0.3.75")) == [status]


def test_an_issue_that_shows_nowhere_is_news() -> None:
    told = apply([result("pass"), result("pass", RTP)], [issue()], "0.3.75")
    assert statuses(told) == ["xpass", "pass"]


def test_an_issue_that_shows_somewhere_is_not_gone() -> None:
    told = apply([result("pass"), result("fail")], [issue(subject="*")], "0.3.75")
    assert statuses(told) == ["pass", "xfail"]


def test_an_issue_is_not_gone_while_something_is_unknown() -> None:
    told = apply([result("pass"), result("unknown")], [issue(subject="*")], "0.3.75")
    assert statuses(told) == ["pass", "unknown"]


def test_an_intermittent_issue_may_pass() -> None:
    told = apply([result("pass")], [issue(intermittent=True)], "0.3.75")
    assert statuses(told) == ["pass"]


def test_globs_of_checks() -> None:
    told = [result("fail", check="audio.dropouts"), result("fail", check="router.alive")]
    assert statuses(apply(told, [issue(check="audio.*")], "0.3.75")) == ["xfail", "fail"]


def test_the_file_of_this_repository_loads_and_excuses_silent_scream_input() -> None:
    issues = load_known_issues(REPOSITORY / "lab_tests" / "known_issues.yml")
    told = [result("fail"), result("fail", RTP)]
    assert statuses(apply(told, issues, "0.3.75")) == ["xfail", "fail"]
    assert statuses(apply(told, issues, "0.3.76")) == ["fail", "fail"]


GOOD = "- id: a\n  versions: '>=1'\n  check: audio.heard\n  reason: because\n"


@pytest.mark.parametrize(
    "text,words",
    [
        (GOOD + GOOD, ":5: 1.id: 'a' is taken already"),
        (GOOD.replace(">=1", "new ones"), ":2: 0.versions: 'new ones' is not a version specifier"),
        (GOOD.replace("audio.heard", "audio.seen"), ":3: 0.check: 'audio.seen' matches no check"),
        (GOOD + "  since: 3\n", ":5: 0.since: there is no such key; known: id, versions"),
        ("- id: a\n  versions: '>=1'\n  check: audio.heard\n", ":1: 0.reason: Field required"),
        ("id: a\n", "a list of entries"),
        ("- [\n", "not valid YAML"),
    ],
)
def test_a_wrong_file_is_told_by_line_and_key(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "known_issues.yml"
    path.write_text(text)
    with pytest.raises(BadInput) as caught:
        load_known_issues(path)
    assert str(path) in str(caught.value) and words in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="No such file"):
        load_known_issues(tmp_path / "none.yml")


def test_an_empty_file_knows_no_issue(tmp_path: Path) -> None:
    path = tmp_path / "known_issues.yml"
    path.write_text("---\n")
    assert load_known_issues(path) == ()
