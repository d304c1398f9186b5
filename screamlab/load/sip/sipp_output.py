"""What sipp says: its statistics, its log, its errors and its response times, as plain data.

Statistics are the CSV of ``-trace_stat``, errors the entries of ``-trace_err``, response times the
CSV of ``-trace_rtt`` (sipp 3.6). Log lines are those of the lab's scenario files: a device's name
and what happened, ``registered``, ``answered ADDRESS PORT PAYLOAD_TYPE``, ``ended`` and
``unregistered``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_STAMP = re.compile(r"\d{4}-\d\d-\d\d\t\d\d:\d\d:\d\d\.\d+\t\d+\.\d+: ")
_CALL = re.compile(r"Call-I[dD] '(\d+)-")
_UNEXPECTED = re.compile(r"while (?:expecting '[^']*'|sending) \(index \d+\), received '(.*)", re.S)
_STATUS = re.compile(r"SIP/2\.0 (\d{3}) ([^\r\n]*)")
_METHOD = re.compile(r"^CSeq: *\d+ +(\w+)", re.M)
_WARNING = re.compile(r'^Warning: \d+ \S+ "([^"]*)"', re.M)
_BUCKET = re.compile(r"ResponseTimeRepartition(\w+?)_(<|>=)(\d+)$")
_MEAN = re.compile(r"ResponseTime(\w+?)(StDev)?\(C\)$")
_COUNT = re.compile(r"(\w+)\(C\)$")
_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NO_COUNTS = frozenset({"ElapsedTime", "CallRate", "CallLength", "CallLengthStDev"})
KEPT = frozenset({"calls", "calls_open", "successful_call", "failed_call", "retransmissions"})
# Every OPTIONS that the registrar asks with is told as an error.
_PRESENCE_CHECK = "out-of-call OPTIONS"
_UNAUTHORIZED = frozenset({401, 403, 407})


@dataclass(frozen=True)
class Said:
    """A log line of the lab's scenarios."""

    device: str
    what: str
    rest: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failure:
    """Why a call failed: `call` is its number, `method` and `status` what was answered how."""

    call: int
    method: str | None
    status: int | None
    cause: str


def parse_said(line: str) -> Said | None:
    """A log line, None for what is none."""
    words = line.split()
    return Said(words[0], words[1], tuple(words[2:])) if len(words) > 1 else None


class Entries:
    """Splits the error stream, in which nothing but a time stamp begins a new entry."""

    def __init__(self) -> None:
        self._text = ""

    def feed(self, text: str) -> list[str]:
        """Entries that are complete now."""
        *whole, self._text = _split(self._text + text)
        return [entry for entry in whole if _PRESENCE_CHECK not in entry]

    def rest(self) -> list[str]:
        """What was left when the stream ended."""
        text, self._text = self._text, ""
        return [text] if text and _PRESENCE_CHECK not in text else []


def _split(text: str) -> list[str]:
    starts = [match.start() for match in _STAMP.finditer(text)]
    bounds = [0, *(start for start in starts if start), len(text)]
    return [text[begin:end] for begin, end in zip(bounds, bounds[1:], strict=False)] or [""]


def parse_failure(entry: str) -> Failure | None:
    """The failure of a call that an error entry tells of, None for other entries."""
    call = _CALL.search(entry)
    if call is None or "Aborting call" not in entry:
        return None
    number = int(call[1])
    if "retransmission timeout" in entry:
        return Failure(number, None, None, "no answer in time")
    unexpected = _UNEXPECTED.search(entry)
    if unexpected is None:
        return Failure(number, None, None, _without_stamp(entry))
    message = unexpected[1]
    found = _METHOD.search(message)
    method = found[1] if found else None
    status = _STATUS.match(message)
    if status is None:
        return Failure(number, method, None, f"{method or 'a request'} came unasked")
    said = _WARNING.search(message)
    cause = f"{method} was answered {status[1]} {status[2].strip()}" + (
        f" ({said[1]})" if said else ""
    )
    return Failure(number, method, int(status[1]), cause)


def refused_credentials(failure: Failure) -> bool:
    """Whether a request that carried credentials was refused for them."""
    return failure.status in _UNAUTHORIZED


def _without_stamp(entry: str) -> str:
    return " ".join(_STAMP.sub("", entry).split())[:300]


class Statistics:
    """Reads the statistics CSV line by line."""

    def __init__(self) -> None:
        self._columns: list[str] = []

    def feed(self, line: str) -> dict[str, float] | None:
        """The figures of one line, cumulative since sipp's start; None for the header.

        Counts carry sipp's names in snake case; response times are ``<name>_mean_ms`` and the
        histogram ``<name>_under_<n>ms``, ``<name>_from_<n>ms``, each answer in one bucket. What
        has never been anything but zero is left out, but for the `KEPT`.
        """
        fields = line.rstrip(";\n").split(";")
        if not self._columns:
            self._columns = fields
            return None
        figures = {}
        for column, text in zip(self._columns, fields, strict=False):
            name = _name(column)
            if name is not None and ((value := _number(text)) or name in KEPT):
                figures[name] = value
        return figures


def _name(column: str) -> str | None:
    if bucket := _BUCKET.match(column):
        bound = "under" if bucket[2] == "<" else "from"
        return f"{bucket[1]}_{bound}_{bucket[3]}ms"
    if mean := _MEAN.match(column):
        return None if mean[2] else f"{mean[1]}_mean_ms"
    if column in ("TotalCallCreated", "CurrentCall"):
        return {"TotalCallCreated": "calls", "CurrentCall": "calls_open"}[column]
    count = _COUNT.match(column)
    if count is None or count[1] in _NO_COUNTS:
        return None
    return _WORDS.sub("_", count[1]).lower()


def _number(text: str) -> float:
    """A count, or hours:minutes:seconds:microseconds in milliseconds."""
    if ":" not in text:
        return float(text)
    hours, minutes, seconds, micro = map(int, text.split(":"))
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + micro / 1000


def longest_ms(lines: Iterable[str]) -> dict[str, float]:
    """Of lines of the response-time CSV, the longest answer of each kind as ``<name>_max_ms``."""
    longest: dict[str, float] = {}
    for line in lines:
        parts: Sequence[str] = line.strip().split(";")
        if len(parts) == 3 and parts[1].replace(".", "", 1).isdigit():
            key = f"{parts[2]}_max_ms"
            longest[key] = max(longest.get(key, 0.0), float(parts[1]))
    return longest
