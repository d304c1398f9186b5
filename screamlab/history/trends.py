"""The trends of many runs as one page: every metric of a scenario over the time of its runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from screamlab.compare.findings import Findings
from screamlab.report.page import embedded, rendered

Chart = dict[str, Any]


def render_trends(runs: Sequence[Findings]) -> str:
    """The page; runs are given oldest first."""
    topics: dict[str, list[Findings]] = defaultdict(list)
    for run in runs:
        topics[f"{run.scenario} {run.scale}"].append(run)
    charts = {topic: [*_verdicts(own), *_metrics(own)] for topic, own in topics.items()}
    return rendered(
        "history", "trends.html.j2", charts=charts, plotly=Markup(get_plotlyjs()),
        data=embedded(charts),
    )  # fmt: skip


def _verdicts(runs: Sequence[Findings]) -> list[Chart]:
    """What every run came out as, and why."""
    trace = _trace("verdict", runs, [run.verdict for run in runs], mode="markers")
    trace["text"] = [
        f"{label}<br>{run.reason}" for label, run in zip(trace["text"], runs, strict=True)
    ]
    return [{"title": "verdict", "unit": "", "traces": [trace]}]


def _metrics(runs: Sequence[Findings]) -> list[Chart]:
    """One chart for each name and unit, a line for each subject."""
    metrics = sorted({metric for run in runs for metric in run.figures})
    charts: dict[tuple[str, str], list[Chart]] = defaultdict(list)
    for metric in metrics:
        own = [run for run in runs if metric in run.figures]
        values = [float(f"{run.figures[metric].value:.5g}") for run in own]
        charts[metric.name, metric.unit].append(_trace(metric.subject, own, values))
    return [
        {"title": name, "unit": unit, "traces": traces} for (name, unit), traces in charts.items()
    ]


def _trace(
    name: str, runs: Sequence[Findings], y: Sequence[Any], mode: str = "lines+markers"
) -> Chart:
    return {
        "name": name,
        "mode": mode,
        "x": [_moment(run.began) for run in runs],
        "y": list(y),
        "text": [f"{run.run_id}<br>router {run.version or 'unknown'}" for run in runs],
        "hovertemplate": f"{name}: %{{y}}<br>%{{text}}<extra></extra>",
    }


def _moment(unix_s: float | None) -> str | None:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="seconds") if unix_s else None
