"""junit.xml: one test case per check and subject, for whatever shows test results."""

from __future__ import annotations

from itertools import groupby

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from screamlab.judge.model import CheckResult, Verdict


def render_junit(verdict: Verdict) -> str:
    """The verdict as JUnit XML: fail is a failure, invalid and unknown an error, xfail a skip."""
    report = JUnitXml(f"{verdict.scenario} {verdict.scale}")
    if verdict.verdict == "INFRA":
        report.add_testsuite(_suite("infra", [_infra(verdict)]))
    results = sorted(verdict.checks, key=_topic)
    for topic, members in groupby(results, key=_topic):
        report.add_testsuite(_suite(topic, [_case(result) for result in members]))
    report.update_statistics()
    return str(report.tostring().decode()) + "\n"


def _topic(result: CheckResult) -> str:
    return result.id.partition(".")[0]


def _suite(name: str, cases: list[TestCase]) -> TestSuite:
    suite = TestSuite(name)
    suite.add_testcases(cases)
    return suite


def _infra(verdict: Verdict) -> TestCase:
    case = TestCase("hosts and provisioning", classname="infra")
    case.result = [Error(verdict.reason, "infra")]
    return case


def _case(result: CheckResult) -> TestCase:
    case = TestCase(result.subject, classname=result.id)
    if result.status == "fail":
        case.result = [Failure(result.reason, result.status)]
    elif result.status in ("invalid", "unknown"):
        case.result = [Error(result.reason, result.status)]
    elif result.status == "xfail":
        case.result = [Skipped(result.reason, result.status)]
    else:
        case.system_out = f"{result.status}: {result.reason}"
    return case
