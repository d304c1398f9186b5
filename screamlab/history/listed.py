"""The runs of a folder as they stand there, without reading their evidence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from screamlab.errors import BadInput
from screamlab.run.folder import RUN_FILE, read_record


@dataclass(frozen=True)
class Listed:
    """One run folder; `began` and `ends` in unix seconds, `verdict` None before it is judged."""

    folder: Path
    scenario: str
    scale: str
    version: str | None
    began: float
    ends: float
    verdict: str | None
    reason: str


def list_runs(folder: Path) -> list[Listed]:
    """Every run folder in `folder`, oldest first; `BadInput` when there is no such folder."""
    if not folder.is_dir():
        raise BadInput(f"{folder}: there is no such folder")
    places = [file.parent for file in folder.glob(f"*/{RUN_FILE}")]
    runs = [_listed(place) for place in places if not place.is_symlink()]
    return sorted(runs, key=lambda run: (run.began, run.folder.name))


def _listed(folder: Path) -> Listed:
    try:
        record: Mapping[str, Any] = read_record(folder)
    except BadInput:
        record = {}
    judged = _optional(folder / "verdict.json")
    began = float(record.get("zero") or (folder / RUN_FILE).stat().st_mtime)
    return Listed(
        folder=folder,
        scenario=str(record.get("scenario", "?")),
        scale=str(record.get("scale", "?")),
        version=(record.get("router") or {}).get("version"),
        began=began,
        ends=began + float(record.get("duration_s") or 0),
        verdict=judged.get("verdict"),
        reason=str(judged.get("reason", "not judged")),
    )


def _optional(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
