"""The report's section on what Valgrind found: sums, stacks, and a flame graph of lost bytes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from screamlab.errors import BadInput
from screamlab.evidence.valgrind_report import LEAKS, Group, Report
from screamlab.evidence.valgrind_stack import OWNERS, blamed, place, short, source
from screamlab.judge.valgrind_told import OBJECTS, Change, baseline_of, compare, report_of, total
from screamlab.judge.view import Run

MOST_STACKS = 40
"""Of one kind of table; the whole is in the grouped report."""

MOST_NODES = 3000
_NOT_FREED = ("definitely", "indirectly", "possibly")
_PROFILED = ("end", "peak")


@dataclass(frozen=True)
class Row:
    """A stack as it is shown."""

    kind: str
    owner: str
    bytes: int
    blocks: int
    records: int
    times: int
    text: str
    function: str
    source: str
    stack: tuple[str, ...]


@dataclass
class Told:
    """All of the section; `sums` has bytes and blocks by kind of leak and owner."""

    report: Report
    slowdown: float
    sums: list[tuple[str, list[tuple[int, int]]]]
    leaks: list[Row]
    errors: list[Row]
    changes: list[tuple[Change, Row]] = field(default_factory=list)
    flame: dict[str, Any] | None = None
    owners: Sequence[str] = OWNERS


def told(run: Run) -> Told | None:
    """What is told of a run whose router was under a tool; None of any other."""
    try:
        report, before = report_of(run), baseline_of(run)
    except BadInput:
        # The checks that needed it say why they know nothing.
        return None
    if report is None:
        return None
    changes = compare(before, report) if before else []
    held = [group for group in report.groups if group.kind in (*LEAKS.values(), *_PROFILED)]
    wanted = [group for group in held if group.kind != "reachable"]
    return Told(
        report=report,
        slowdown=run.slowdown,
        sums=_sums(held),
        leaks=[_row(group) for group in _ours_first(wanted)[:MOST_STACKS]],
        errors=[_row(group) for group in _ours_first(report.errors)[:MOST_STACKS]],
        changes=[(c, _row(c.group)) for c in changes if c.what not in ("same", "shrunk")][
            :MOST_STACKS
        ],
        flame=flame(
            [g for g in held if g.kind in _NOT_FREED] or [g for g in held if g.kind == "end"]
        ),
    )


def _sums(groups: Iterable[Group]) -> list[tuple[str, list[tuple[int, int]]]]:
    by_kind: dict[str, list[Group]] = defaultdict(list)
    for group in groups:
        by_kind[group.kind].append(group)
    order = [*LEAKS.values(), *_PROFILED]
    found = []
    for kind in sorted(by_kind, key=order.index):
        owned = [[g for g in by_kind[kind] if g.owner == owner] for owner in OWNERS]
        found.append((kind, [(total(own), sum(g.blocks for g in own)) for own in owned]))
    return found


def _ours_first(groups: Iterable[Group]) -> list[Group]:
    """The engine's before all others', each owner's as they were; lost before possibly lost."""
    order = [*LEAKS.values(), *_PROFILED]
    return sorted(
        groups,
        key=lambda g: (OWNERS.index(g.owner), order.index(g.kind) if g.kind in order else 0),
    )


def _row(group: Group) -> Row:
    at = blamed(group.stack, OBJECTS)
    return Row(
        kind=group.kind,
        owner=group.owner,
        bytes=group.bytes,
        blocks=group.blocks,
        records=group.records,
        times=group.times,
        text=group.text,
        function=short(place(at)) if group.stack else "further stacks",
        source=source(at),
        stack=tuple(f"{short(place(frame))} {source(frame)}".rstrip() for frame in group.stack),
    )


def flame(groups: Sequence[Group]) -> dict[str, Any] | None:
    """An icicle of Plotly's: outermost callers on top, places of allocation below, by bytes."""
    if not total(groups):
        return None
    ids, labels, parents, values = ["0"], ["all"], [""], [total(groups)]
    known: dict[tuple[str, str], int] = {}
    for group in sorted(groups, key=lambda group: -group.bytes):
        parent = "0"
        for frame in reversed(group.stack):
            label = short(place(frame))
            at = known.get((parent, label))
            if at is None:
                if len(ids) >= MOST_NODES:
                    break
                at = known[parent, label] = len(ids)
                ids.append(str(at))
                labels.append(label)
                parents.append(parent)
                values.append(0)
            values[at] += group.bytes
            parent = str(at)
    return {
        "type": "icicle", "ids": ids, "labels": labels, "parents": parents, "values": values,
        "branchvalues": "total", "tiling": {"orientation": "v"}, "maxdepth": 12,
        "hovertemplate": "%{label}<br>%{value:,} bytes, %{percentRoot:.1%}<extra></extra>",
    }  # fmt: skip
