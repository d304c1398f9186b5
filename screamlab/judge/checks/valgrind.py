"""What Valgrind found in the router: memory lost, errors, and what is new since a baseline."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import get_args

from pydantic import Field

from screamlab.evidence.valgrind_report import LEAKS, LOST, Group, Report
from screamlab.evidence.valgrind_stack import Owner, blamed, place, short, source
from screamlab.judge.churned import done, groups
from screamlab.judge.model import CheckResult
from screamlab.judge.registry import Grader, Params, check
from screamlab.judge.valgrind_told import OBJECTS, baseline_of, compare, report_of, total
from screamlab.judge.view import Run
from screamlab.scenario.valgrind import TELLS, Tool

JUDGED: tuple[Owner, ...] = ("engine", "libraries")
TOOLS: tuple[str, ...] = get_args(Tool)
# The functions that are named; what more there is goes into one result.
MOST_NAMED = 20


class Leaks(Params):
    """How many bytes of which kinds the engine and its libraries may lose, in all."""

    kinds: tuple[str, ...] = LOST
    max_bytes: int = Field(default=0, ge=0)
    min_samples: int = Field(default=1, ge=1, description="leak records, of any kind and owner")


@check("valgrind.leaks", Leaks)
def leaks(run: Run, params: Leaks) -> list[CheckResult]:
    """The engine and its libraries lose no memory."""
    grade = Grader("valgrind.leaks", params.min_samples)

    def judge(report: Report) -> list[CheckResult]:
        records = sum(group.records for group in report.leaks())
        results = []
        for owner in JUDGED:
            found = [group for group in report.leaks(*params.kinds) if group.owner == owner]
            if total(found) > params.max_bytes:
                results += _functions(grade, found)
            elif report.truncated:
                results.append(_cut_off(grade, owner, report))
            else:
                reason = f"{total(found)} bytes lost, in {records} leak records of all owners"
                results.append(
                    grade.at_most(
                        f"valgrind/{owner}", total(found), params.max_bytes, "B", records, reason
                    )
                )
        return results

    unknown = set(params.kinds) - set(LEAKS.values())
    if unknown:
        known = ", ".join(LEAKS.values())
        return [grade.unknown("valgrind", f"no such kind: {', '.join(unknown)}; known: {known}")]
    return _judged(run, grade, TELLS["valgrind.leaks"], judge)


def _functions(grade: Grader, groups: Iterable[Group]) -> list[CheckResult]:
    """One failure for each function of those that lose too much together, the largest first."""
    by_function: dict[str, list[Group]] = defaultdict(list)
    for group in groups:
        by_function[_subject(group)].append(group)
    ordered = sorted(by_function.items(), key=lambda item: -total(item[1]))
    results = [
        grade.at_most(subject, total(own), 0, "B", _records(grade, own), _lost(own))
        for subject, own in ordered[:MOST_NAMED]
    ]
    rest = [group for _, own in ordered[MOST_NAMED:] for group in own]
    if rest:
        reason = f"{len(ordered) - MOST_NAMED} further functions: {_lost(rest)}"
        subject = f"valgrind/{rest[0].owner}"
        results.append(grade.at_most(subject, total(rest), 0, "B", _records(grade, rest), reason))
    return results


def _records(grade: Grader, groups: Iterable[Group]) -> int:
    """How many leak records these are; one is enough for a failure."""
    return max(grade.min_samples, sum(group.records for group in groups))


def _subject(group: Group) -> str:
    return f"valgrind/{group.owner}/{short(place(blamed(group.stack, OBJECTS)))}"


def _lost(groups: Iterable[Group]) -> str:
    """The bytes and blocks of each kind, and where the largest stack begins."""
    by_kind: dict[str, list[Group]] = defaultdict(list)
    for group in groups:
        by_kind[group.kind].append(group)
    parts = [
        f"{total(own)} bytes in {sum(group.blocks for group in own)} blocks {kind} lost"
        for kind, own in by_kind.items()
    ]
    largest = max((g for own in by_kind.values() for g in own), key=lambda group: group.bytes)
    return f"{', '.join(parts)}; {_told(largest)}"


def _told(group: Group) -> str:
    """A stack in one line: the blamed place with its source, and who called it."""
    places = [short(place(frame)) for frame in group.stack[:6]]
    at = source(blamed(group.stack, OBJECTS))
    return f"{' < '.join(places) or 'without a stack'}{f' ({at})' if at else ''}"


def _cut_off(grade: Grader, owner: str, report: Report) -> CheckResult:
    ended = f", the router was ended by {report.ended_by}" if report.ended_by else ""
    return grade.unknown(
        f"valgrind/{owner}",
        f"the report is cut off: {report.truncated}{ended}; leaks are told at its end",
    )


class Operations(Params):
    """The share of each group's planned cycles that must have succeeded."""

    min_share: float = Field(default=0.5, gt=0, le=1)
    min_samples: int = Field(default=1, ge=1, description="cycles planned")


@check("valgrind.operations", Operations)
def operations(run: Run, params: Operations) -> list[CheckResult]:
    """Enough of what clients did succeeded for the absence of leaks to mean something."""
    # A router that a tool makes slow is not to blame for it.
    grade = Grader("valgrind.operations", params.min_samples, bad="invalid")
    results = []
    for group in groups(run):
        begun, planned = done(run, group), len(group.cycles)
        failed = [one for one in begun if one.error]
        first = f"; first failure: {failed[0].error}" if failed else ""
        succeeded = len(begun) - len(failed)
        reason = f"{succeeded} of {planned} planned cycles succeeded{first}"
        share = succeeded / planned
        results.append(
            grade.at_least(group.subject, share, params.min_share, "share", planned, reason)
        )
    return results or [grade.unknown("churn", "nobody came or went, nothing was changed")]


class Errors(Params):
    """How many places of the engine and its libraries may do what memcheck calls an error.

    `leave_out_kinds` are names of errors as the tool has them, such as ``UninitCondition``.
    """

    max_places: int = Field(default=0, ge=0)
    leave_out_kinds: tuple[str, ...] = ()
    min_samples: int = Field(default=1, ge=1, description="reports")


@check("valgrind.errors", Errors)
def errors(run: Run, params: Errors) -> list[CheckResult]:
    """The engine and its libraries use memory and locks as they may."""
    grade = Grader("valgrind.errors", params.min_samples)

    def judge(report: Report) -> list[CheckResult]:
        results = []
        for owner in JUDGED:
            found = [
                group
                for group in report.errors
                if group.owner == owner and group.kind not in params.leave_out_kinds
            ]
            if len(found) <= params.max_places and report.truncated:
                results.append(_cut_off(grade, owner, report))
                continue
            first = ""
            if found:
                first = f"; most often ({found[0].times} ×) {found[0].kind}: {_told(found[0])}"
            reason = f"{len(found)} places with errors{first}"
            subject = f"valgrind/{owner}"
            results.append(
                grade.at_most(subject, len(found), params.max_places, "places", 1, reason)
            )
        return results

    return _judged(run, grade, TELLS["valgrind.errors"], judge)


class Baseline(Params):
    """By how many bytes, or times an error, a stack of the engine's may differ from the baseline.

    Still reachable memory is left out unless `reachable` is set: it grows with what is loaded.
    """

    max_more: int = Field(default=0, ge=0)
    reachable: bool = False
    min_samples: int = Field(default=1, ge=1, description="stacks")


@check("valgrind.baseline", Baseline)
def baseline(run: Run, params: Baseline) -> list[CheckResult]:
    """The engine and its libraries lose and do nothing that the baseline does not."""
    grade = Grader("valgrind.baseline", params.min_samples)
    before = baseline_of(run)
    if before is None:
        return [grade.unknown("valgrind", "the scenario's instrument names no baseline")]

    def judge(report: Report) -> list[CheckResult]:
        if before.tool != report.tool:
            reason = f"the baseline is of {before.tool}, the run of {report.tool}"
            return [grade.unknown("valgrind", reason)]
        changes = [
            change
            for change in compare(before, report)
            if change.group.owner in JUDGED
            and (params.reachable or change.group.kind != "reachable")
        ]
        more = [c for c in changes if c.after - c.before > params.max_more]
        results = []
        for change in more[:MOST_NAMED]:
            reason = f"{change.what}: {change.group.kind}, {change.before} before and "
            reason += f"{change.after} now, of {len(more)} such stacks; {_told(change.group)}"
            value, samples = change.after - change.before, len(changes)
            subject = _subject(change.group)
            results.append(grade.at_most(subject, value, params.max_more, "more", samples, reason))
        if results:
            return results
        if report.truncated:
            return [_cut_off(grade, "engine", report)]
        gone = sum(change.what == "gone" for change in changes)
        reason = f"none of {len(changes)} stacks is new or has grown, {gone} are gone"
        samples = max(len(changes), params.min_samples)
        return [grade.at_most("valgrind/engine", 0, params.max_more, "more", samples, reason)]

    return _judged(run, grade, TOOLS, judge)


def _judged(
    run: Run,
    grade: Grader,
    tools: tuple[str, ...],
    judge: Callable[[Report], list[CheckResult]],
) -> list[CheckResult]:
    """What `judge` says of the run's report; unknown where there is none that tells this."""
    asked = run.meta.get("instrument") or {}
    if asked.get("tool") not in TOOLS:
        return [grade.unknown("valgrind", "the router of this run was under no tool of Valgrind")]
    report = report_of(run)
    if report is None:
        return [grade.unknown("valgrind", "no report of Valgrind came home from the router's host")]
    if report.tool not in tools:
        reason = f"the router was under {report.tool}, which does not tell this"
        return [grade.unknown("valgrind", reason)]
    return judge(report)
