"""What is known of a run: ``run.json`` in its folder, and why it broke off if it did."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from screamlab.errors import BadInput
from screamlab.paths import RUNS

RUN_FILE = "run.json"
INFRA_FILE = "infra.json"


def read_record(folder: Path) -> dict[str, Any]:
    """The content of ``run.json``; `BadInput` when the folder is not a run."""
    try:
        record = json.loads((folder / RUN_FILE).read_text())
    except (OSError, ValueError) as error:
        raise BadInput(f"{folder}: not a run folder: {RUN_FILE} cannot be read") from error
    assert isinstance(record, dict)
    return record


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write ``run.json`` whole or not at all."""
    unfinished = folder / f".{RUN_FILE}"
    unfinished.write_text(json.dumps(record, indent=1))
    unfinished.replace(folder / RUN_FILE)


def note(folder: Path, **facts: Any) -> None:
    """Add facts to ``run.json``."""
    write_record(folder, {**read_record(folder), **facts})


def newest_wall_time(scenario: str) -> tuple[float, float]:
    """Wall time of the newest whole run of a scenario and its own length, both in seconds."""
    folders = [file.parent for file in RUNS.glob(f"*/{RUN_FILE}")]
    records = [read_record(folder) for folder in folders]
    begun = [record for record in records if record["scenario"] == scenario and record["zero"]]
    timed = [record for record in begun if record.get("wall_s")]
    if not timed:
        raise BadInput(f"no run of {scenario} is there to be timed; run `make lab` first")
    newest = max(timed, key=lambda record: float(record["zero"]))
    return float(newest["wall_s"]), float(newest["duration_s"])


def write_infra(folder: Path, reason: str, *, refused: bool = False) -> None:
    """Note why hosts or provisioning failed; the judge answers INFRA with this reason.

    `refused` when somebody else has the hosts.
    """
    (folder / INFRA_FILE).write_text(json.dumps({"reason": reason, "refused": refused}))


def was_refused(folder: Path) -> bool:
    """Whether a run could not be carried out because somebody else had the hosts."""
    file = folder / INFRA_FILE
    return file.exists() and bool(json.loads(file.read_text()).get("refused"))
