"""The JSON-lines spool: how a host writes down what happened, so that a kill at any byte loses
at most the line being written.

Every writer owns two files in the run's spool folder: ``events-<writer>.jsonl`` for things that
happened once and ``series-<writer>.jsonl`` for figures sampled over time. A line is written with
one ``write(2)`` on an ``O_APPEND`` descriptor, so a reader sees whole lines and perhaps one torn
line at the end. A file that is full is followed by ``….0001.jsonl`` and so on; whatever has a
successor is complete, so that it can be collected and removed while the run goes on.

Event line: ``{"t": unix seconds, "host": str, "kind": "noun.verb", "subject": str, ...fields}``.
Series line: ``{"t": unix seconds, "host": str, "subject": str, "values": {metric_unit: number}}``.

A full disk does not stop a run: lines that find no room are counted, told once on stderr, and
told as the event ``spool.lost{lines}`` (subject: the file) as soon as there is room again.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PIECE_BYTES = 16 << 20
"""A file of this size is complete; the next line begins another."""

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_PIECE = re.compile(r"(?P<stem>.+?)(?:\.(?P<number>\d{4,}))?\.jsonl")


class Spool:
    """Append-only event and series files of one writer on one host.

    Numbers that are not finite are written as null: JSON has no NaN.
    """

    def __init__(self, directory: Path, *, writer: str, host: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._host = host
        self._events = _File(directory, f"events-{writer}")
        self._series = _File(directory, f"series-{writer}")

    def event(self, kind: str, subject: str, *, t: float | None = None, **fields: Any) -> None:
        """Record that `kind` happened to `subject` at `t` (unix seconds, now when absent)."""
        record = {"t": _stamp(t), "host": self._host, "kind": kind, "subject": subject, **fields}
        self._events.append(_line(record))
        self._tell_lost()

    def series(self, subject: str, values: Mapping[str, float], *, t: float | None = None) -> None:
        """Record one sample of several metrics of `subject`; metric names end in their unit."""
        self.series_many([(subject, values)], t=t)

    def series_many(
        self, samples: Iterable[tuple[str, Mapping[str, float]]], *, t: float | None = None
    ) -> None:
        """Record samples of several subjects taken at one time, in a single write."""
        stamp = _stamp(t)
        lines = [
            _line({"t": stamp, "host": self._host, "subject": subject, "values": dict(values)})
            for subject, values in samples
        ]
        self._series.append(b"".join(lines))
        self._tell_lost()

    def close(self) -> None:
        """Close both files; every line is already on its way to the disk."""
        self._tell_lost(closing=True)
        self._events.close()
        self._series.close()

    def _tell_lost(self, *, closing: bool = False) -> None:
        for file in (self._events, self._series):
            if file.lost and (closing or not file.full):
                record = {"t": _stamp(None), "host": self._host, "kind": "spool.lost"}
                line = _line({**record, "subject": file.path.name, "lines": file.lost})
                if self._events.append(line, count_loss=False):
                    file.lost = 0


def complete_pieces(directory: Path) -> list[Path]:
    """The spool files that have a successor: nothing will be written to them any more."""
    newest: dict[str, int] = {}
    found = []
    for path in directory.glob("*.jsonl"):
        if name := _PIECE.fullmatch(path.name):
            number = int(name["number"] or 0)
            found.append((name["stem"], number, path))
            newest[name["stem"]] = max(number, newest.get(name["stem"], 0))
    return sorted(path for stem, number, path in found if number < newest[stem])


@dataclass(frozen=True)
class Lines:
    """The whole lines of one spool file and how many bytes of torn or broken lines were left."""

    records: list[dict[str, Any]]
    broken: int


def read_lines(path: Path) -> Lines:
    """Read one spool file whole; a torn last line or a broken one is counted, never fatal."""
    records: list[dict[str, Any]] = []
    broken = 0
    for record in iter_lines(path):
        if record is None:
            broken += 1
        else:
            records.append(record)
    return Lines(records, broken)


def iter_lines(path: Path) -> Iterator[dict[str, Any] | None]:
    """Yield every record of one spool file in order, None for a line that is not whole."""
    with path.open("rb") as file:
        for line in file:
            yield parse_line(line) if line.endswith(b"\n") else None


def parse_line(line: bytes) -> dict[str, Any] | None:
    """The record that a line holds; None for one that is broken."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


class _File:
    def __init__(self, directory: Path, stem: str) -> None:
        self._directory = directory
        self._stem = stem
        names = [_PIECE.fullmatch(path.name) for path in directory.glob(f"{stem}.*jsonl")]
        self._number = max((int(name["number"] or 0) for name in names if name), default=0)
        self.lost = 0
        self.full = False
        self._open()

    def _open(self) -> None:
        number = f".{self._number:04d}" if self._number else ""
        self.path = self._directory / f"{self._stem}{number}.jsonl"
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(self.path, flags, 0o644)
        self._size = os.fstat(self._descriptor).st_size
        # A line torn by an earlier kill must not swallow the first line of this writer.
        self._torn = self._size > 0 and os.pread(self._descriptor, 1, self._size - 1) != b"\n"

    def append(self, lines: bytes, *, count_loss: bool = True) -> bool:
        if self._size >= PIECE_BYTES:
            self.close()
            self._number += 1
            self._open()
        data = b"\n" + lines if self._torn else lines
        written = 0
        try:
            written = os.write(self._descriptor, data)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
        if written:
            self._size += written
            self._torn = data[written - 1 : written] != b"\n"
        self.full = written < len(data)
        if not self.full:
            return True
        if count_loss:
            if not self.lost:
                print(f"{self.path}: no space left on device, lines are lost", file=sys.stderr)
            self.lost += data[written:].count(b"\n")
        return False

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._descriptor)


def _line(record: Mapping[str, Any]) -> bytes:
    try:
        text = _ENCODER.encode(record)
    except ValueError:
        text = _ENCODER.encode(_finite(record))
    return text.encode() + b"\n"


def _plain(value: Any) -> Any:
    """numpy's scalars and arrays as plain numbers and lists."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=_plain)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _stamp(t: float | None) -> float:
    return round(time.time() if t is None else t, 6)
