"""Putting a report of Valgrind where it is collected: grouped, and as it was."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

from screamlab.errors import InfraError
from screamlab.evidence.valgrind_report import Report, save_report

REPORT_FILE = "valgrind-report.json"
"""The grouped report, in a host's folder of a run."""

_LEVEL = 6


def keep(
    report: Report, file: Path, folder: Path, *, most_bytes: int, dry: bool = False
) -> list[str]:
    """Write the grouped report and the compressed one; the names of the files that changed.

    A compressed report of more than `most_bytes` is left where it is, and the report says so; with
    `dry` nothing is written. `InfraError` when the disk is full.
    """
    packed = folder / f"valgrind-{file.name}.gz"
    grouped = folder / REPORT_FILE
    try:
        if dry:
            return [path.name for path in (packed, grouped) if not path.exists()]
        changed = [] if packed.exists() else [packed.name]
        if changed and not _pack(file, packed, most_bytes):
            report.left_behind = f"{file}: compressed it is more than {most_bytes >> 20} MiB"
            changed = []
        before = grouped.read_bytes() if grouped.exists() else b""
        save_report(report, grouped)
        if grouped.read_bytes() != before:
            changed.append(grouped.name)
    except OSError as error:
        raise InfraError(f"{folder}: cannot keep the report: {error.strerror}") from error
    return changed


def _pack(file: Path, packed: Path, most_bytes: int) -> bool:
    """Compress a file; whether it has become small enough."""
    draft = packed.with_name(f".{packed.name}.part")
    try:
        with file.open("rb") as source, gzip.GzipFile(draft, "wb", _LEVEL, mtime=0) as target:
            shutil.copyfileobj(source, target, 1 << 20)
        if draft.stat().st_size > most_bytes:
            return False
        draft.replace(packed)
        return True
    finally:
        draft.unlink(missing_ok=True)
