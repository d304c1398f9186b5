"""What the launcher in the router's process told of its Python memory, on the plan's clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from screamlab.evidence.spool import iter_lines
from screamlab.judge.samples import Samples
from screamlab.judge.view import Run

Line = Mapping[str, Any]


class Kind(NamedTuple):
    """What a tool counts: by what, in which unit, and whether it may be judged by its growth."""

    by: str
    unit: str
    judged: bool = True


KINDS = {
    "objgraph": Kind("type", "objects"),
    "tracemalloc": Kind("traceback", "bytes"),
    "memray": Kind("traceback", "bytes"),
    # All that the process holds when a method returns, whoever asked for it.
    "memory_profiler": Kind("method", "bytes", judged=False),
}


@dataclass(frozen=True)
class PythonMemory:
    """Snapshots of one tool; `values` has a row for each of `names`, a column for each of `t`."""

    tool: str
    names: tuple[str, ...] = ()
    t: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    values: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))
    snapshots: tuple[Line, ...] = ()
    looks: tuple[Line, ...] = ()
    notes: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        """What it counted."""
        return KINDS[self.tool]

    @property
    def taken_s(self) -> NDArray[np.float64]:
        """When each of `snapshots` was taken."""
        return np.array([line["at_s"] for line in self.snapshots])

    def figure(self, name: str) -> Samples:
        """A figure that every snapshot has: `blocks`, `rss_bytes`, `own_bytes`, `took_s` …"""
        return Samples(self.taken_s, np.array([float(line[name]) for line in self.snapshots]))

    def series(self, row: int) -> Samples:
        """What there was of the `row`-th name."""
        return Samples(self.t, self.values[row])

    @property
    def suspects(self) -> dict[str, Line]:
        """The types that were looked at closer at last, by name."""
        return {one["type"]: one for look in self.looks for one in look.get("suspects", ())}

    @property
    def methods(self) -> list[Line]:
        """The methods under memory_profiler, as they were at last."""
        return next((list(look["methods"]) for look in self.looks[::-1] if "methods" in look), [])


@lru_cache(maxsize=4)
def python_memory(run: Run) -> PythonMemory | None:
    """What was told in a run; None where the router ran under no such tool."""
    asked = run.meta.get("instrument") or {}
    if asked.get("tool") not in KINDS:
        return None
    folders = run.bundle.path.glob(f"hosts/{run.router_host}/**/snapshots.jsonl")
    file = next(iter(sorted(folders)), None)
    missing = [str(event.fields.get("reason")) for event in run.events("memory.missing")]
    if file is None:
        errors = missing or ["the launcher's file was not collected"]
        return PythonMemory(asked["tool"], errors=tuple(errors))
    return read(file, asked["tool"], run.zero, missing)


def read(file: Path, tool: str, zero: float, missing: list[str] | None = None) -> PythonMemory:
    """Read what one launcher wrote; lines that are not whole are left out."""
    lines = list(_lines(file, zero))
    # What memray saw is told afterwards, in a file of its own.
    told = file.with_name("memray.jsonl")
    counted = list(_lines(told, zero)) if told.exists() else lines
    names, t, values = _matrix(counted)
    starts = [line for line in lines if line["kind"] == "start"]
    return PythonMemory(
        tool=tool,
        names=names,
        t=t,
        values=values,
        snapshots=tuple(line for line in lines if line["kind"] == "snapshot"),
        looks=tuple(line for line in lines if line["kind"] == "look"),
        notes=tuple(note for line in starts for note in line["notes"]),
        errors=(*(line["text"] for line in lines if line["kind"] == "error"), *(missing or ())),
    )


def held_by(suspect: Line) -> str:
    """Who holds a suspect, from a module down to it; empty when no module was found."""
    chain = suspect["chain"]
    return " → ".join(chain) if len(chain) > 1 else ""


def _lines(file: Path, zero: float) -> Iterator[dict[str, Any]]:
    for line in iter_lines(file):
        if line is not None:
            yield {**line, "at_s": line["t"] - zero}


def _matrix(
    lines: list[dict[str, Any]],
) -> tuple[tuple[str, ...], NDArray[np.float64], NDArray[np.float64]]:
    """Names, times and values; what a snapshot does not tell is as it was."""
    named = {str(line["id"]): line["name"] for line in lines if line["kind"] == "name"}
    rows = {key: row for row, key in enumerate(named)}
    taken = [line for line in lines if line["kind"] == "snapshot"]
    values = np.zeros((len(rows), len(taken)))
    for column, line in enumerate(taken):
        if column:
            values[:, column] = values[:, column - 1]
        for key, value in line["values"].items():
            if key in rows:
                values[rows[key], column] = value
    return tuple(named.values()), np.array([line["at_s"] for line in taken]), values
