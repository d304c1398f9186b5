"""Reader of systemd's journal export format (systemd.io/JOURNAL_EXPORT_FORMATS), streaming.

An entry is a block of fields ended by an empty line. A field is `NAME=value` on a line, or, for
values that are not plain text, `NAME` on a line, the length as 64 bits little-endian, the value
and a newline.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

# Where a host's journal lies in its spool and in the bundle.
JOURNAL_FILE = "journal.export.gz"
_LONGEST_FIELD = 1 << 28
# Which field besides _SYSTEMD_UNIT makes an entry one about a unit, as `journalctl -u` has it.
_ABOUT = ("UNIT", "OBJECT_SYSTEMD_UNIT", "COREDUMP_UNIT")
# What an export keeps of an entry: twenty more fields say the same of every line of a service, and
# an engine that logs packets writes thirty thousand lines a second.
FIELDS = (
    "MESSAGE", "MESSAGE_ID", "PRIORITY", "SYSLOG_IDENTIFIER", "_COMM", "_PID", "_SYSTEMD_UNIT",
    "_TRANSPORT", "EXIT_CODE", "EXIT_STATUS", *_ABOUT,
)  # fmt: skip


class Truncated(Exception):
    """The export ends within an entry, or is not one from here on."""


@dataclass(frozen=True)
class Entry:
    """One journal entry: `t` in unix seconds, `priority` as in syslog (0 emergency … 7 debug)."""

    t: float
    fields: dict[str, str]

    @property
    def message(self) -> str:
        """The text that was logged."""
        return self.fields.get("MESSAGE", "")

    @property
    def unit(self) -> str:
        """The unit whose process logged this; empty for the kernel."""
        return self.fields.get("_SYSTEMD_UNIT", "")

    @property
    def identifier(self) -> str:
        """The name the logging program goes by, such as `kernel`."""
        return self.fields.get("SYSLOG_IDENTIFIER", "")

    @property
    def priority(self) -> int:
        """Syslog priority, 6 (information) when none was given."""
        value = self.fields.get("PRIORITY", "6")
        return int(value) if value.isdigit() else 6

    @property
    def told_of(self) -> Iterator[str]:
        """The units that the system logged this about."""
        return (self.fields[name] for name in _ABOUT if name in self.fields)

    def about(self, unit: str) -> bool:
        """Whether a process of `unit` logged this or the system logged it about `unit`."""
        return self.unit == unit or unit in self.told_of


def read_journal(path: Path, *, unit: str | None = None) -> Iterator[Entry]:
    """Every whole entry of an export file, in order, `.gz` or not; about `unit` when given.

    A file that ends within an entry yields all entries before it. `OSError` when it cannot be
    read at all.
    """
    with _open(path) as file:
        entries = parse_export(file)
        while True:
            try:
                entry = next(entries, None)
            except (Truncated, EOFError, zlib.error, gzip.BadGzipFile):
                return
            if entry is None:
                return
            if unit is None or entry.about(unit):
                yield entry


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path) if path.suffix == ".gz" else path.open("rb"))


def parse_export(file: BinaryIO) -> Iterator[Entry]:
    """Parse an export stream; `Truncated` where it ends within an entry."""
    fields: dict[str, str] = {}
    while line := file.readline():
        if line == b"\n":
            if fields:
                yield _entry(fields)
            fields = {}
            continue
        if not line.endswith(b"\n"):
            raise Truncated("ends within a line")
        name, equals, value = line[:-1].partition(b"=")
        if not equals:
            value = _binary(file)
        fields[name.decode("ascii", "replace")] = value.decode("utf-8", "replace")
    if fields:
        raise Truncated("ends within an entry")


def _binary(file: BinaryIO) -> bytes:
    head = file.read(8)
    if len(head) < 8:
        raise Truncated("ends within a length")
    (length,) = struct.unpack("<Q", head)
    if length > _LONGEST_FIELD:
        raise Truncated(f"a field of {length} bytes")
    value = file.read(length + 1)
    if len(value) != length + 1 or not value.endswith(b"\n"):
        raise Truncated("ends within a value")
    return value[:-1]


def _entry(fields: dict[str, str]) -> Entry:
    stamp = fields.get("__REALTIME_TIMESTAMP", "")
    if not stamp.isdigit():
        raise Truncated("an entry without a time")
    return Entry(t=int(stamp) / 1e6, fields=fields)
