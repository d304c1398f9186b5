"""Everything that any host of a run said, in one order, on the controller's clock.

`timeline.jsonl.gz` has a line for every entry of every unit's journal, every line of the router's
own log files and of the machine's kernel (where hosts are virtual), every event and every phase:
``{"t": unix seconds, "host", "kind", "source", "level", "text"}``. `kind` is journal, kernel, log,
event or phase; `source` the unit, the log file, the event's kind or the phase's; `level` as in
syslog(3), taken from the text where the router writes it there. A host's clock is set right by what
`run.json` says of it, measured as the run began. Reading and sorting takes bounded memory.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from screamlab.evidence.journal import JOURNAL_FILE, Entry, read_journal
from screamlab.evidence.kernel_log import KERNEL_FILE
from screamlab.evidence.merge import Keyed, in_order
from screamlab.evidence.spool import iter_lines

TIMELINE_FILE = "timeline.jsonl.gz"
# Earlier and later than the run's own time by so much, in seconds: its beginning and its end.
BEFORE_S, AFTER_S = 900.0, 120.0
LONGEST_TEXT, MOST_LINES = 4000, 200
NOTICE, INFORMATION = 5, 6
# Whose log files are read, of all that a host delivered: the router's, one line a message.
_LOG_FILES = "files/**/logs/*.log*"
# The router's formatter, its engine's mirror on stderr, and uvicorn's.
_LEVEL = re.compile(
    r"(?:\[|\[CPP\]\[)?(?P<level>DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL)"
    r"(?::(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3})?|\])"
)
_LEVELS = {"DEBUG": 7, "INFO": 6, "WARN": 4, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}
_ENCODE = json.JSONEncoder(separators=(",", ":")).encode
_HEAD = frozenset({"t", "host", "kind", "subject"})


@dataclass(frozen=True)
class Line:
    """One line of the timeline; see the module."""

    t: float
    host: str
    kind: str
    source: str
    level: int
    text: str


def write_timeline(run_dir: Path, meta: Mapping[str, Any]) -> int:
    """Write the timeline of a run whose events are merged already; how many lines it has."""
    target = run_dir / TIMELINE_FILE
    draft = target.with_name(f".{target.name}.part")
    count = 0
    with (
        draft.open("wb") as raw,
        gzip.GzipFile(fileobj=raw, filename="", mode="wb", compresslevel=4, mtime=0) as file,
    ):
        for line in in_order(_keyed(run_dir, meta), run_dir):
            file.write(line)
            count += 1
    draft.replace(target)
    return count


def read_timeline(path: Path) -> Iterator[Line]:
    """The lines of a timeline, oldest first."""
    with gzip.open(path) as file:
        for line in file:
            yield Line(**json.loads(line))


def _keyed(run_dir: Path, meta: Mapping[str, Any]) -> Iterator[Keyed]:
    zero = float(meta.get("zero") or 0.0)
    first, last = zero - BEFORE_S, zero + float(meta.get("duration_s") or 0.0) + AFTER_S
    for line in _lines(run_dir, meta, zero):
        if zero and not first <= line.t <= last:
            continue
        t, text = round(line.t, 6), line.text
        if len(text) > LONGEST_TEXT:
            text = f"{text[:LONGEST_TEXT]}… ({len(text) - LONGEST_TEXT} more characters)"
        told = {**vars(line), "t": t, "text": text}
        yield t, _ENCODE(told).encode() + b"\n"


def _lines(run_dir: Path, meta: Mapping[str, Any], zero: float) -> Iterator[Line]:
    ahead_s = {
        host: float(clock.get("offset_ms") or 0.0) / 1e3
        for host, clock in (meta.get("clocks") or {}).items()
    }

    def righted(lines: Iterable[Line]) -> Iterator[Line]:
        for line in lines:
            offset_s = ahead_s.get(line.host)
            yield replace(line, t=line.t - offset_s) if offset_s else line

    for folder in sorted((run_dir / "hosts").glob("*/")):
        journal = folder / JOURNAL_FILE
        if journal.exists():
            entries = read_journal(journal)
            yield from righted(journal_line(folder.name, entry) for entry in entries)
        for path in sorted(folder.glob(_LOG_FILES)):
            yield from righted(_of_log(folder.name, path))
    if (run_dir / "events.jsonl").exists():
        yield from righted(map(_of_event, filter(None, iter_lines(run_dir / "events.jsonl"))))
    if (run_dir / KERNEL_FILE).exists():
        for record in filter(None, iter_lines(run_dir / KERNEL_FILE)):
            yield Line(host="machine", kind="kernel", source="kernel", **record)
    for phase in meta.get("phases", ()):
        text = f"{phase['name']} begins"
        yield Line(zero + phase["from_s"], "", "phase", phase["kind"], NOTICE, text)


def journal_line(host: str, entry: Entry) -> Line:
    """A journal entry of `host` as a line of the timeline."""
    if entry.fields.get("_TRANSPORT") == "kernel":
        return Line(entry.t, host, "kernel", "kernel", entry.priority, entry.message)
    source = next(entry.told_of, entry.unit) or entry.identifier
    level = entry.priority
    if found := _LEVEL.match(entry.message):
        level = _LEVELS[found["level"]]
    return Line(entry.t, host, "journal", source, level, entry.message)


def _of_log(host: str, path: Path) -> Iterator[Line]:
    """A log file of the router's, times in UTC; lines of one message stay together."""
    head: re.Match[str] | None = None
    text: list[str] = []
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            found = _LEVEL.match(line)
            if found and found["at"]:
                yield from _message(host, path, head, text)
                head, text = found, []
            if head and len(text) < MOST_LINES:
                text.append(line.rstrip("\n\0"))
    yield from _message(host, path, head, text)


def _message(host: str, path: Path, head: re.Match[str] | None, text: list[str]) -> Iterator[Line]:
    if head is not None:
        at = datetime.strptime(head["at"], "%Y-%m-%d %H:%M:%S,%f").replace(tzinfo=UTC)
        level = _LEVELS[head["level"]]
        yield Line(at.timestamp(), host, "log", path.name, level, "\n".join(text))


def _of_event(event: Mapping[str, Any]) -> Line:
    fields = " ".join(f"{name}={event[name]}" for name in event if name not in _HEAD)
    text = f"{event['subject']} {fields}".rstrip()
    return Line(event["t"], event["host"], "event", event["kind"], NOTICE, text)
