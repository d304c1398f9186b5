"""What was seen of the router's Python memory, and what it cost to look."""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from screamlab.evidence.subjects import ROUTER
from screamlab.judge.churned import times
from screamlab.judge.python_memory import PythonMemory, held_by, python_memory
from screamlab.judge.view import Run
from screamlab.judge.windows import Window, Windows, intersect
from screamlab.report.charts import MIB, Chart

MOST_ROWS = 25
MOST_LINES = 8
_DOT_TIMEOUT_S = 20.0
_LEAST_LINE_MIB = 0.05


@dataclass(frozen=True)
class Cost:
    """A figure of the router's process in holds without and with the tool; None for unknown."""

    name: str
    without: float | None
    with_tool: float | None


@dataclass(frozen=True)
class Row:
    """A type, traceback or method: what there was at first and at last, and the most."""

    name: str
    first: float
    last: float
    most: float


@dataclass(frozen=True)
class Suspect:
    """A type that grew, who holds it, and a picture of that where one could be drawn."""

    name: str
    grown: float
    chain: str
    picture: str


@dataclass(frozen=True)
class Section:
    """The report's part on Python memory."""

    memory: PythonMemory
    costs: tuple[Cost, ...]
    took: str
    rows: tuple[Row, ...]
    suspects: tuple[Suspect, ...]
    methods: tuple[Mapping[str, Any], ...]


def python_section(run: Run) -> Section | None:
    """All there is to show; None where the router ran under no such tool."""
    memory = python_memory(run)
    if memory is None:
        return None
    return Section(
        memory=memory,
        costs=_costs(run, memory),
        took=_took(memory),
        rows=_rows(memory),
        suspects=tuple(_suspect(one) for one in memory.suspects.values()),
        methods=tuple(_method(one) for one in memory.methods),
    )


def python_chart(run: Run) -> Chart | None:
    """What grew the most, as lines from nought."""
    memory = python_memory(run)
    if memory is None or not len(memory.t) or not memory.names:
        return None
    note = f"By {memory.kind.by}, above what there was at first: those that moved the most."
    chart = Chart("python-memory", "Router: Python memory", note, memory.kind.unit)
    above = memory.values - memory.values[:, :1]
    for at, row in enumerate(np.argsort(-above[:, -1], kind="stable")[:MOST_LINES]):
        chart.traces.append(
            {
                "type": "scatter", "mode": "lines", "name": memory.names[row][:60],
                "x": [round(float(at_s), 2) for at_s in memory.t],
                "y": [float(value) for value in above[row]], "showlegend": True, "colour": at,
            }
        )  # fmt: skip
    return chart


def _costs(run: Run, memory: PythonMemory) -> tuple[Cost, ...]:
    """Of holds before the first snapshot, and of those after it that end before any churn."""
    if not memory.snapshots:
        return ()
    begun = float(memory.taken_s[0])
    quiet = times(run).before or run.phase("hold")
    without = intersect(quiet, (Window(float("-inf"), begun),))
    looked = intersect(quiet, (Window(begun, float("inf")),))
    figures = (("processor, %", "cpu_percent", 1.0), ("resident memory, MiB", "rss_bytes", 1 / MIB))
    return tuple(
        Cost(name, *(_mean(run, metric, scale, when) for when in (without, looked)))
        for name, metric, scale in figures
    )


def _mean(run: Run, metric: str, scale: float, when: Windows) -> float | None:
    samples = run.series(ROUTER, metric, run.router_host).within(when)
    return float(np.mean(samples.value)) * scale if len(samples) else None


def _took(memory: PythonMemory) -> str:
    if not memory.snapshots:
        return "no snapshot was taken"
    took, busy = memory.figure("took_s").value, memory.figure("cpu_s").value
    span_s = float(np.ptp(memory.taken_s)) or 1.0
    own = f"{memory.figure('own_bytes').value[-1] / MIB:.1f} MiB"
    # What memray knows is in its file.
    own = f"its file has {own}" if memory.tool == "memray" else f"the tool itself holds {own}"
    looks = "".join(f"; a closer look took {look['took_s']:.1f} s" for look in memory.looks)
    return (
        f"{len(took)} snapshots took {1000 * np.median(took):.0f} ms each, at most "
        f"{1000 * took.max():.0f} ms, and {100 * busy.sum() / span_s:.1f} % of one processor; "
        f"{own}{looks}"
    )


def _rows(memory: PythonMemory) -> tuple[Row, ...]:
    if not len(memory.t):
        return ()
    grown = memory.values[:, -1] - memory.values[:, 0]
    order = [row for row in np.argsort(-grown, kind="stable")[:MOST_ROWS] if grown[row] > 0]
    return tuple(
        Row(
            memory.names[row],
            float(memory.values[row, 0]),
            float(memory.values[row, -1]),
            float(memory.values[row].max()),
        )
        for row in order
    )


def _suspect(one: Mapping[str, Any]) -> Suspect:
    return Suspect(one["type"], float(one["grown"]), held_by(one), _picture(one["dot"]))


def _picture(graph: str) -> str:
    """A ``data:`` URL of a graph drawn by dot(1); empty where there is none, or it cannot."""
    dot = shutil.which("dot")
    if not dot or not graph:
        return ""
    try:
        done = subprocess.run(
            [dot, "-Tsvg"], input=graph.encode(), capture_output=True, timeout=_DOT_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    if done.returncode:
        return ""
    return f"data:image/svg+xml;base64,{base64.b64encode(done.stdout).decode()}"


def _method(one: Mapping[str, Any]) -> Mapping[str, Any]:
    """A method with the lines only that moved the process's memory."""
    lines = [line for line in one["lines"] if abs(line["mib"]) >= _LEAST_LINE_MIB]
    return {**one, "lines": lines}
