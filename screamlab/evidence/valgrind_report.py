"""A report of one of Valgrind's tools with its findings grouped by stack.

However large a report is, its groups take no more room than `MOST_GROUPS` stacks do: what comes
after these is summed up by kind and owner, so that the sums stay exact.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from screamlab.errors import BadInput
from screamlab.evidence.valgrind_heap import read_dhat, read_massif
from screamlab.evidence.valgrind_stack import Objects, Owner, normalised, owner_of, place
from screamlab.evidence.valgrind_xml import Finding, Frame, Reader, Stack, opened

MOST_GROUPS = 20_000
SCHEMA_VERSION = 1
BASELINE_FILE = "valgrind-baseline.json"
"""In a run's folder: the report that the run's is compared with."""

_HEAD_BYTES = 64

LEAKS = {
    "Leak_DefinitelyLost": "definitely",
    "Leak_IndirectlyLost": "indirectly",
    "Leak_PossiblyLost": "possibly",
    "Leak_StillReachable": "reachable",
}
"""What memcheck calls its kinds of leak, and what we do."""

LOST = ("definitely", "indirectly")
"""What nobody can give back any more."""

Key = tuple[str, Owner, Stack]


@dataclass
class Group:
    """Everything of one kind that happened at one normalised stack.

    `kind` is of `LEAKS`, the name that memcheck, helgrind or drd have for an error, or ``peak`` or
    ``end`` of a heap profile. `records` is how many findings these are, `times` how often errors
    occurred; `bytes` and `blocks` are of leaks and of memory held. The
    `text` and further stacks (`also`) are those of the first. Without a stack it is the sum of what
    found no room.
    """

    kind: str
    owner: Owner
    stack: Stack
    text: str = ""
    also: tuple[tuple[str, Stack], ...] = ()
    records: int = 0
    times: int = 0
    bytes: int = 0
    blocks: int = 0

    @property
    def name(self) -> str:
        """By this a stack is known in another report too."""
        return "\n".join((self.kind, *(map(place, self.stack) if self.stack else (self.owner,))))


@dataclass
class Report:
    """What a tool found in one process.

    `truncated` is why the report is not whole, or empty; `ended_by` the signal that ended the
    process, `left_behind` why the report itself was not collected, if known.
    """

    tool: str
    pid: int = 0
    command: tuple[str, ...] = ()
    version: str = ""
    lasted: str = ""
    truncated: str = ""
    ended_by: str = ""
    left_behind: str = ""
    groups: list[Group] = field(default_factory=list)
    suppressed: dict[str, int] = field(default_factory=dict)

    def leaks(self, *kinds: str) -> list[Group]:
        """The leaks of these kinds, all kinds when there are none, largest first."""
        wanted = kinds or tuple(LEAKS.values())
        return [group for group in self.groups if group.kind in wanted]

    @property
    def errors(self) -> list[Group]:
        """What is neither a leak nor of a profile, most frequent first."""
        return [group for group in self.groups if group.times]


def read_report(path: Path, objects: Objects) -> Report:
    """Read what a tool wrote, or `save_report` of it, compressed or not, and tell them apart.

    `BadInput` when it is none of these.
    """
    with opened(path) as file:
        begin = file.read(_HEAD_BYTES).lstrip()
    if begin.startswith(b'{"schema"'):
        return _load(path)
    if begin.startswith(b'{"dhatFileVersion"') or begin.startswith(b"desc:"):
        return _profile(path, begin.startswith(b"desc:"), objects)
    reader = Reader(path)
    groups = _group(reader.findings(), reader.counts, objects)
    return Report(
        tool=reader.tool,
        pid=reader.pid,
        command=reader.command,
        version=reader.version,
        lasted=reader.lasted,
        truncated=reader.truncated,
        groups=groups,
        suppressed=reader.suppressed,
    )


def _profile(path: Path, massif: bool, objects: Objects) -> Report:
    with opened(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", errors="replace")
        heap = read_massif(iter(text)) if massif else read_dhat(text.read())
    return Report(
        tool=heap.tool,
        pid=heap.pid,
        command=heap.command,
        truncated=heap.truncated,
        groups=_group(heap.findings, {}, objects),
    )


def _group(findings: Iterable[Finding], counts: Mapping[str, int], objects: Objects) -> list[Group]:
    """The findings by kind and normalised stack; `counts` is filled when they are through."""
    groups: dict[Key, Group] = {}
    errors: dict[str, Group] = {}
    for finding in findings:
        stack = normalised(finding.stack, objects)
        kind, owner = LEAKS.get(finding.kind, finding.kind), owner_of(stack, objects)
        key: Key = (kind, owner, tuple(Frame(place(frame)) for frame in stack))
        if key not in groups and len(groups) >= MOST_GROUPS:
            key, stack = (kind, owner, ()), ()
        group = groups.get(key)
        if group is None:
            text, also = (finding.text, finding.also) if stack else ("further stacks", ())
            group = groups[key] = Group(kind, owner, stack, text, also)
        group.records += 1
        group.bytes += finding.bytes
        group.blocks += finding.blocks
        if finding.unique and finding.kind not in LEAKS:
            errors[finding.unique] = group
    for unique, group in errors.items():
        # How often an error occurred stands at the end of a report; it did at least once.
        group.times += counts.get(unique, 1)
    return sorted(groups.values(), key=lambda g: (-g.bytes, -g.times, g.kind, g.name))


def save_report(report: Report, path: Path) -> None:
    """Write a grouped report as JSON; every place in it stands there once."""
    places: dict[Frame, int] = {}

    def numbers(stack: Stack) -> list[int]:
        return [places.setdefault(frame, len(places)) for frame in stack]

    groups = [
        {
            **vars(group),
            "stack": numbers(group.stack),
            "also": [[text, numbers(stack)] for text, stack in group.also],
        }
        for group in report.groups
    ]
    document = {"schema": SCHEMA_VERSION, **vars(report), "groups": groups, "places": list(places)}
    path.write_text(json.dumps(document, separators=(",", ":")))


def _load(path: Path) -> Report:
    try:
        with opened(path) as file:
            return _report(json.load(file))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise BadInput(f"{path}: is no grouped report of Valgrind") from error


def _report(document: dict[str, Any]) -> Report:
    if document.pop("schema") != SCHEMA_VERSION:
        raise ValueError("unknown schema")
    places = [Frame(*place) for place in document.pop("places")]

    def stack(numbers: Iterable[int]) -> Stack:
        return tuple(places[number] for number in numbers)

    groups = [
        Group(
            **{
                **group,
                "stack": stack(group["stack"]),
                "also": tuple((text, stack(numbers)) for text, numbers in group["also"]),
            }
        )
        for group in document.pop("groups")
    ]
    return Report(**{**document, "command": tuple(document["command"])}, groups=groups)
