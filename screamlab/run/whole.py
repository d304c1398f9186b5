"""One run from a request to its verdict: the main job, then the judge."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from screamlab import paths
from screamlab.evidence.build import list_anew
from screamlab.judge.model import Verdict
from screamlab.judge.run import verdict_on
from screamlab.run.drive import drive
from screamlab.run.record import note


@dataclass(frozen=True)
class Asked:
    """A run that is asked for, with the name it is to have."""

    scenario: Path
    scale: str
    settings: Sequence[str]
    run_id: str
    seed: int | None = None


def run_and_judge(
    asked: Asked, inventory: Path, variables: Mapping[str, Any], console: Console
) -> Verdict:
    """Run a scenario on the hosts of an inventory and judge it; its folder is under its name.

    `BadInput` when the request was refused before any host was touched.
    """
    begun = time.monotonic()
    request = {
        **variables,
        "scenario": str(asked.scenario),
        "scale": asked.scale,
        "settings": list(asked.settings),
        "run_id": asked.run_id,
    }
    if asked.seed is not None:
        request["seed"] = asked.seed
    folder = drive(asked.run_id, inventory, paths.RUNS, request, console)
    verdict = verdict_on(folder, paths.KNOWN_ISSUES)
    note(folder, wall_s=round(time.monotonic() - begun, 1))
    list_anew(folder)
    return verdict
