"""Traces: the conditions of one direction as they change over time, read from a file of rows."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from screamlab.errors import BadInput
from screamlab.impair.condition import Condition, Step, Strict
from screamlab.impair.mahimahi import BIN_MS, rates, read_delivery_trace

# What a column of a row sets; an empty cell leaves what the base says.
COLUMNS = ("time_s", "delay_ms", "jitter_ms", "loss_percent", "rate_kbit")
# A token bucket has no rate of 0: this one passes 100 bytes in a bin of 100 ms, and holds the rest
# back as mahimahi does. A link that is `down` would lose it.
STALL_KBIT = 8.0

# Conditions of one direction, each from its time (s) on.
Course = list[tuple[float, Condition]]


class Lane(Strict):
    """The trace of one direction and what it is laid over."""

    file: str = Field(description="relative to the profile")
    base: Condition = Condition()
    queue_bytes: int | None = Field(
        default=None, ge=1500, description="depth of the queue before a rate of the trace"
    )


class Trace(Strict):
    """Rows (CSV) or packet-delivery opportunities (mahimahi) per direction; none: `base` alone.

    Rows hold until the next; after `repeat_s` they begin again, and without it the last one stays.
    A mahimahi trace always begins again after its last time.
    """

    format: Literal["rows", "mahimahi"]
    from_host: Lane | None = None
    to_host: Lane | None = None
    repeat_s: float | None = Field(default=None, gt=0, description="of rows")
    bin_ms: float = Field(default=BIN_MS, ge=20, description="of mahimahi: one rate for each")


def read_rows(path: Path, lane: Lane) -> Course:
    """Conditions of a CSV file with a header; `BadInput` names file and line."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, restkey="")
            _check_header(path, reader.fieldnames)
            course: Course = []
            for row in reader:
                where = f"{path}:{reader.line_num}"
                at_s, condition = _row(where, row, lane)
                if at_s != 0 and not course:
                    raise BadInput(f"{where}: the first row is at time_s 0, not {at_s:g}")
                if course and at_s <= course[-1][0]:
                    raise BadInput(f"{where}: time_s {at_s:g} is not after {course[-1][0]:g}")
                course.append((at_s, condition))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    if not course:
        raise BadInput(f"{path}: there is no row under the header")
    return course


def read_deliveries(path: Path, lane: Lane, bin_ms: float) -> tuple[Course, float]:
    """Conditions of one period of a mahimahi trace, and the period (s)."""
    trace = read_delivery_trace(path)
    course = [
        (at_s, _laid_over(str(path), lane, {"rate_kbit": rate or STALL_KBIT}))
        for at_s, rate in rates(trace, bin_ms)
    ]
    return course, trace.period_ms / 1e3


def repeated(course: Course, period_s: float, until_s: float) -> Course:
    """The course begun again every `period_s` as long as that is before `until_s`."""
    rounds = max(1, int(-(-until_s // period_s)))
    starts = [index * period_s for index in range(rounds)]
    return [
        (start + at_s, condition)
        for start in starts
        for at_s, condition in course
        if start + at_s < until_s
    ]


def merged(from_host: Course, to_host: Course) -> tuple[Step, ...]:
    """Both directions as steps; a step that changes nothing is left out."""
    changes = {"from_host": dict(from_host), "to_host": dict(to_host)}
    holds: dict[str, Condition] = {}
    steps: list[Step] = []
    for at_s in sorted(changes["from_host"].keys() | changes["to_host"].keys()):
        holds |= {name: course[at_s] for name, course in changes.items() if at_s in course}
        steps.append(Step.model_validate({"at_s": at_s, **holds}))
    kept = [now for last, now in pairwise(steps) if not _alike(last, now)]
    return (steps[0], *kept)


def _alike(last: Step, now: Step) -> bool:
    return (last.from_host, last.to_host) == (now.from_host, now.to_host)


def _check_header(path: Path, names: Any) -> None:
    known = ", ".join(COLUMNS)
    if not names:
        raise BadInput(f"{path}:1: a header is needed: {known}")
    for name in names:
        if name not in COLUMNS:
            raise BadInput(f"{path}:1: there is no column '{name}'; known: {known}")
    if "time_s" not in names or len(names) < 2 or len(set(names)) < len(names):
        raise BadInput(f"{path}:1: needed are time_s and another of {known}, each once")


def _row(where: str, row: dict[str, Any], lane: Lane) -> tuple[float, Condition]:
    if "" in row:
        raise BadInput(f"{where}: there are more cells than columns")
    values: dict[str, float] = {}
    for name, cell in row.items():
        if cell is None:
            raise BadInput(f"{where}: {name}: there is no cell")
        if not cell.strip():
            continue
        try:
            values[name] = float(cell)
        except ValueError:
            raise BadInput(f"{where}: {name}: '{cell}' is not a number") from None
    if "time_s" not in values:
        raise BadInput(f"{where}: time_s: a time is needed")
    at_s = values.pop("time_s")
    return at_s, _laid_over(where, lane, values)


def _laid_over(where: str, lane: Lane, values: dict[str, float]) -> Condition:
    """The base with the trace's values in it; a loss of 0 means none."""
    changed: dict[str, Any] = dict(values)
    if "loss_percent" in values:
        percent = changed.pop("loss_percent")
        changed["loss"] = {"model": "independent", "percent": percent} if percent else None
    rate_kbit = values.get("rate_kbit", lane.base.rate_kbit)
    if lane.queue_bytes and rate_kbit:
        changed["queue_ms"] = round(lane.queue_bytes * 8 / rate_kbit, 3)
    try:
        return Condition.model_validate(
            {**lane.base.model_dump(exclude_unset=True), **changed}, strict=False
        )
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0]) if first["loc"] else "row"
        key = {"loss": "loss_percent"}.get(key, key)
        raise BadInput(f"{where}: {key}: {first['msg'].removeprefix('Value error, ')}") from error
