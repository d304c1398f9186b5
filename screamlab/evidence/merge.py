"""One timeline from the event files of all hosts, sorted by time, in bounded memory."""

from __future__ import annotations

import heapq
import json
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from screamlab.evidence.spool import iter_lines

_CHUNK = 200_000

# A line, ended by a newline, and the time it is sorted by.
Keyed = tuple[float, bytes]


def merge_events(paths: Iterable[Path], target: Path) -> tuple[int, dict[Path, int]]:
    """Write the events of all `paths` to `target`, oldest first.

    The host of an event is the folder its file lies in. Answers the number of events and, per
    file, the number of lines that were no event.
    """
    broken: dict[Path, int] = {}
    count = 0
    draft = target.with_name(f".{target.name}.part")
    with draft.open("wb") as file:
        for line in in_order(_read(paths, broken), target.parent):
            file.write(line)
            count += 1
    draft.replace(target)
    return count, broken


def in_order(lines: Iterable[Keyed], room: Path) -> Iterator[bytes]:
    """Any number of lines, sorted; what does not fit into memory waits in folder `room`."""
    with tempfile.TemporaryDirectory(dir=room, prefix=".merge-") as folder:
        runs = [_read_run(path) for path in _sorted_runs(lines, Path(folder))]
        for _, line in heapq.merge(*runs):
            yield line


def _read(paths: Iterable[Path], broken: dict[Path, int]) -> Iterator[Keyed]:
    for path in paths:
        broken[path] = 0
        for record in iter_lines(path):
            if record is None or not _is_event(record):
                broken[path] += 1
                continue
            record["host"] = path.parent.name
            yield record["t"], json.dumps(record, separators=(",", ":")).encode() + b"\n"


def _is_event(record: dict[str, Any]) -> bool:
    t = record.get("t")
    names = (record.get("kind"), record.get("subject"))
    return type(t) in (int, float) and all(isinstance(name, str) for name in names)


def _sorted_runs(lines: Iterable[Keyed], folder: Path) -> Iterator[Path]:
    chunk: list[Keyed] = []
    number = 0
    for line in lines:
        chunk.append(line)
        if len(chunk) == _CHUNK:
            yield _write_run(chunk, folder / str(number))
            number += 1
            chunk.clear()
    yield _write_run(chunk, folder / str(number))


def _write_run(chunk: list[Keyed], path: Path) -> Path:
    chunk.sort()
    with path.open("wb") as file:
        for t, line in chunk:
            file.write(b"%r %b" % (t, line))
    return path


def _read_run(path: Path) -> Iterator[Keyed]:
    file: BinaryIO
    with path.open("rb") as file:
        for row in file:
            t, _, line = row.partition(b" ")
            yield float(t), line
