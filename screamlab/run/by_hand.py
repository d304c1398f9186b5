"""Break and heal the network by hand: the playbooks `impair` and `heal`, and what they say."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from screamlab.errors import BadInput, InfraError
from screamlab.run.drive import Playbook
from screamlab.run.progress import showing
from screamlab.run.record import read_record


def impair(
    run_id: str, runs: Path, inventory: Path, variables: Mapping[str, Any], console: Console
) -> None:
    """Break the network as asked and say until when.

    `BadInput` for a request that was refused, `InfraError` for one that could not be carried out.
    """
    job = Playbook(inventory, {**variables, "run_id": run_id})
    with showing(run_id, console) as progress:
        succeeded = job.run("impair", progress)
    if not (runs / run_id).exists():
        raise BadInput(job.first_failure)
    if job.refused:
        raise InfraError(job.first_failure)
    if not succeeded:
        raise InfraError(f"{job.first_failure}; `screamlab heal` makes sure nothing is left of it")
    record = read_record(runs / run_id)
    end = time.localtime(record["zero"] + record["phases"][-1]["to_s"])
    links = ", ".join(variables["impair_hosts"])
    console.print(
        f"{record['profile']} on {links} until {time.strftime('%H:%M:%S', end)}, then it heals by "
        f"itself; `screamlab heal` ends it earlier ({runs / run_id})",
        highlight=False,
        soft_wrap=True,
    )


def heal(inventory: Path, variables: Mapping[str, Any], console: Console) -> None:
    """Heal every host of an inventory and say what was found; `InfraError` if one is not clean."""
    found: dict[str, Mapping[str, Any]] = {}

    def on_ok(module: str, host: str, result: Mapping[str, Any]) -> None:
        if module == "impair_heal":
            found[host] = result

    job = Playbook(inventory, variables)
    with showing("heal", console) as progress:
        succeeded = job.run("heal", progress, on_ok)
    for host, result in sorted(found.items()):
        said = "; ".join(result.get("found", ())) or "nothing to heal"
        console.print(f"{host}: {said}", highlight=False, soft_wrap=True)
    if not succeeded:
        raise InfraError(job.first_failure)
