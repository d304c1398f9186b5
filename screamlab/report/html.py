"""report.html: one file that opens offline, with everything a verdict rests on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from itertools import islice
from typing import Any

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from screamlab import __version__
from screamlab.judge.checks import CHECKS
from screamlab.judge.degradation import degradation
from screamlab.judge.impaired import truth_table
from screamlab.judge.known_issues import KnownIssue
from screamlab.judge.model import STATUSES, CheckResult, Status, Verdict
from screamlab.judge.noise import floors
from screamlab.judge.view import Run
from screamlab.report import valgrind
from screamlab.report.charts import charts
from screamlab.report.clients import listeners, pictures, response_times, sip_failures
from screamlab.report.crashes import crash_groups, down_s
from screamlab.report.hangs import hangs
from screamlab.report.logs import logs
from screamlab.report.packets import wire
from screamlab.report.page import embedded, own, rendered
from screamlab.report.python_memory import python_chart, python_section

MOST_REASONS = 8
MOST_FACTS = 400
LONGEST_FACT = 400


@dataclass(frozen=True)
class Group:
    """All results of one check, worst first."""

    id: str
    title: str
    results: tuple[CheckResult, ...]

    @property
    def worst(self) -> Status:
        return self.results[0].status

    @property
    def counts(self) -> list[tuple[Status, int]]:
        found = [(status, sum(r.status == status for r in self.results)) for status in STATUSES]
        return [(status, count) for status, count in found if count]


def render_html(run: Run, verdict: Verdict, issues: Sequence[KnownIssue]) -> str:
    """The report as one self-contained page."""
    drawn = [*charts(run), *filter(None, [python_chart(run)])]
    valgrind_told = valgrind.told(run)
    data = {
        "phases": [phase.model_dump(include={"name", "kind", "from_s", "to_s"})
                   for phase in run.phases],
        "end_s": run.duration_s,
        "charts": [chart.data() for chart in drawn],
    }  # fmt: skip
    return rendered(
        "report",
        "report.html.j2",
        verdict=verdict,
        started=_moment(run.zero),
        duration=_duration(run.duration_s),
        seed=run.meta.get("seed"),
        phases=run.phases,
        streams=run.routed,
        reasons=_reasons(verdict),
        groups=_groups(verdict),
        statuses=[(status, verdict.count(status)) for status in STATUSES if verdict.count(status)],
        charts=drawn,
        crashes=crash_groups(run),
        down_s=down_s(run),
        hangs=hangs(run),
        logs=logs(run),
        valgrind=valgrind_told,
        valgrind_flame=embedded(valgrind_told.flame if valgrind_told else None),
        response_times=response_times(run),
        sip_failures=sip_failures(run),
        listeners=listeners(run),
        pictures=pictures(run),
        wire=wire(run),
        python=python_section(run),
        truth=truth_table(run),
        degradation=degradation(run),
        floors=floors(run),
        faults=run.faults,
        issues=[issue for issue in issues if issue.concerns(verdict.router.version)],
        matches=_matches(verdict, issues),
        facts=_facts(run.bundle.facts),
        versions=_versions(run),
        script=own("report.js"),
        plotly=Markup(get_plotlyjs()),
        data=embedded(data),
    )


def _reasons(verdict: Verdict) -> list[CheckResult]:
    """The results that made the verdict, at most a few."""
    order: dict[str, tuple[Status, ...]] = {
        "FAIL": ("fail",), "INVALID": ("invalid", "unknown"), "INFRA": ("fail", "invalid"),
        "PASS": ("xpass", "xfail"),
    }  # fmt: skip
    found = (r for status in order[verdict.verdict] for r in verdict.checks if r.status == status)
    return list(islice(found, MOST_REASONS))


def _groups(verdict: Verdict) -> list[Group]:
    by_id: dict[str, list[CheckResult]] = {}
    for result in verdict.checks:
        by_id.setdefault(result.id, []).append(result)
    groups = [
        Group(
            check_id,
            CHECKS[check_id].title if check_id in CHECKS else "",
            tuple(sorted(results, key=lambda result: STATUSES.index(result.status))),
        )
        for check_id, results in by_id.items()
    ]
    return sorted(groups, key=lambda group: STATUSES.index(group.worst))


def _matches(verdict: Verdict, issues: Sequence[KnownIssue]) -> dict[str, dict[str, int]]:
    """How often each known issue showed, and how often it did not."""
    return {
        issue.id: {
            status: sum(r.status == status and issue.matches(r) for r in verdict.checks)
            for status in ("xfail", "xpass")
        }
        for issue in issues
    }


def _facts(facts: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
    return {
        host: [(key, text[:LONGEST_FACT]) for key, text in islice(_flat(told), MOST_FACTS)]
        for host, told in sorted(facts.items())
    }


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key in value:
            yield from _flat(value[key], f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value):
        for at, item in enumerate(value):
            yield from _flat(item, f"{prefix}.{at}")
    elif isinstance(value, list):
        yield prefix, ", ".join(map(str, value))
    else:
        yield prefix, str(value)


def _versions(run: Run) -> list[tuple[str, str]]:
    told = run.meta.get("versions") or {}
    judge = [("judge: screamlab", __version__)]
    judge += [(f"judge: {name}", metadata.version(name)) for name in ("plotly", "duckdb", "numpy")]
    return [*_flat(told), *judge]


def _moment(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min"), (rest, "s")]
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 s"
