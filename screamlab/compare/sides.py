"""Which runs stand on which side of a comparison, and whether they can be held together at all."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.version import InvalidVersion, Version

from screamlab.compare.findings import Findings
from screamlab.errors import BadInput
from screamlab.run.record import RUN_FILE
from screamlab.suite.record import FILE as SUITE_FILE
from screamlab.suite.record import read_record

# Settings that make a side what it is, and are no difference in what was asked of it.
_OF_THE_ROUTER = ("router.", "senders.*.announce=")


@dataclass(frozen=True)
class Side:
    """Some runs under one name."""

    name: str
    runs: tuple[Findings, ...]

    def of(self, topic: tuple[str, str]) -> Side:
        """Its runs of one scenario and scale of which something is known."""
        runs = (run for run in self.runs if (run.scenario, run.scale) == topic)
        return Side(self.name, tuple(run for run in runs if run.verdict != "INFRA"))

    @property
    def topics(self) -> set[tuple[str, str]]:
        """The scenarios and scales of its runs."""
        return {(run.scenario, run.scale) for run in self.runs}


def run_folders(argument: str, runs: Path) -> list[Path]:
    """The run folders that one argument means, by name: a run, a suite, a folder or a glob.

    `BadInput` when there is none.
    """
    found: dict[Path, None] = {}
    for place in sorted(glob.glob(argument)) or [argument]:
        for folder in _folders(Path(place) if os.path.exists(place) else runs / place):
            found[folder.resolve()] = None
    if not found:
        raise BadInput(f"{argument}: there is no run here")
    return list(found)


def make_sides(
    arguments: Sequence[str],
    runs: Path,
    read: Callable[[Path], Findings],
    *,
    by_version: bool,
) -> list[Side]:
    """The sides of a comparison: one for each argument, or one for each router version in all.

    `BadInput` for fewer than two sides, or a run that stands on two of them.
    """
    folders = [run_folders(argument, runs) for argument in arguments]
    if by_version:
        everything = [read(folder) for folder in dict.fromkeys(sum(folders, []))]
        known = [run for run in everything if run.version is not None]
        versions = sorted({str(run.version) for run in known}, key=_by_age)
        sides = [Side(v, tuple(run for run in known if run.version == v)) for v in versions]
    else:
        _see_apart(arguments, folders)
        read_sides = [[read(folder) for folder in part] for part in folders]
        names = _names(arguments, read_sides)
        sides = [Side(*pair) for pair in zip(names, map(tuple, read_sides), strict=True)]
    if len(sides) < 2:
        only = f", all of {sides[0].name}" if sides else ""
        raise BadInput(f"a comparison needs two sides; there is one{only}")
    return sides


def shared_topics(a: Side, b: Side) -> list[tuple[str, str]]:
    """Scenarios and scales that both sides have runs of; `BadInput` when there are none."""
    shared = sorted(a.topics & b.topics)
    if not shared:
        raise BadInput(
            f"{a.name} and {b.name} cannot be compared: {_told(a.topics)} on one side, "
            f"{_told(b.topics)} on the other"
        )
    return shared


def caveats(a: Side, b: Side) -> list[str]:
    """What else is not alike, in sentences: what was asked, and runs that say nothing."""
    found = []
    for side, other in ((a, b), (b, a)):
        if alone := side.topics - other.topics:
            found.append(f"only {side.name} has runs of {_told(alone)}")
        for run in side.runs:
            if run.verdict == "INFRA":
                found.append(f"{side.name}: {run.run_id} says nothing: {run.reason}")
    for topic in sorted(a.topics & b.topics):
        left, right = a.of(topic), b.of(topic)
        if not left.runs or not right.runs:
            continue
        name = f"{topic[0]} {topic[1]}"
        for side, other in ((left, right), (right, left)):
            if more := _asked(side) - _asked(other):
                found.append(f"{name}: only {side.name} was run with {', '.join(sorted(more))}")
        if {run.phases for run in left.runs} != {run.phases for run in right.runs}:
            found.append(f"{name}: the phases are not of the same length")
        if {run.streams for run in left.runs} != {run.streams for run in right.runs}:
            found.append(f"{name}: the streams are not the same, so neither is the load")
    return found


def _folders(place: Path) -> list[Path]:
    if (place / RUN_FILE).is_file():
        return [place]
    if (place / SUITE_FILE).is_file():
        parts = read_record(place).parts
        ids = (part.attempts[-1].run_id for part in parts if part.attempts)
        runs = place.resolve().parent.parent
        return [run for name in ids if (run := runs / name).is_dir()]
    return [file.parent for file in sorted(place.glob(f"*/{RUN_FILE}"))]


def _see_apart(arguments: Sequence[str], folders: Sequence[Sequence[Path]]) -> None:
    whose: dict[Path, str] = {}
    for argument, part in zip(arguments, folders, strict=True):
        for folder in part:
            if folder in whose:
                raise BadInput(f"{folder.name} stands on two sides: {whose[folder]}, {argument}")
            whose[folder] = argument


def _names(arguments: Sequence[str], sides: Sequence[Sequence[Findings]]) -> list[str]:
    """The router's version where it tells all sides apart, else what was asked for."""
    versions = [{run.version for run in side} for side in sides]
    told = [str(next(iter(found))) for found in versions if len(found) == 1 and None not in found]
    if len(set(told)) == len(sides):
        return told
    return [os.path.basename(argument.rstrip("/")) or argument for argument in arguments]


def _asked(side: Side) -> set[str]:
    return {s for run in side.runs for s in run.settings if not s.startswith(_OF_THE_ROUTER)}


def _told(topics: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{scenario} {scale}" for scenario, scale in sorted(topics))


def _by_age(version: str) -> tuple[int, Version, str]:
    try:
        return (1, Version(version), version)
    except InvalidVersion:
        return (0, Version("0"), version)
