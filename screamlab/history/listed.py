"""The runs of a folder as they stand there, without reading their evidence."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from screamlab.errors import BadInput
from screamlab.evidence.bundle import VERDICT_FILE, optional_document
from screamlab.run.record import RUN_FILE


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

    @property
    def date(self) -> str:
        """When it began, to the minute."""
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(self.began))


def list_runs(folder: Path) -> list[Listed]:
    """Every run folder in `folder`, oldest first; `BadInput` when there is no such folder."""
    if not folder.is_dir():
        raise BadInput(f"{folder}: there is no such folder")
    places = [file.parent for file in folder.glob(f"*/{RUN_FILE}")]
    runs = [_listed(place) for place in places if not place.is_symlink()]
    return sorted(runs, key=lambda run: (run.began, run.folder.name))


def _listed(folder: Path) -> Listed:
    record = optional_document(folder / RUN_FILE)
    judged = optional_document(folder / VERDICT_FILE)
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
