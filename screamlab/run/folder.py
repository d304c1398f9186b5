"""The run folder on the controller: made at plan time, filled by collect, read by judge.

``runs/<run-id>/`` begins with ``run.json`` (what is run, where, how long), ``scenario.yml`` as it
was read and ``plans/<host>.json``; ``runs/latest`` points at the newest.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from screamlab import __version__
from screamlab.errors import BadInput
from screamlab.evidence.valgrind_report import BASELINE_FILE, read_report, save_report
from screamlab.evidence.valgrind_stack import Objects
from screamlab.inject.worker import faults
from screamlab.inventory import Host
from screamlab.run.record import write_record
from screamlab.scenario.compile import compile_scenario
from screamlab.scenario.instrument import instrumented
from screamlab.scenario.model import Scenario, load_scenario
from screamlab.scenario.plan import Plan
from screamlab.scenario.valgrind import Valgrind


@dataclass(frozen=True)
class Request:
    """What somebody asks to be run."""

    scenario_file: Path
    scale: str
    settings: Sequence[str] = ()
    run_id: str | None = None
    seed: int | None = None


def new_run_id(scenario: Scenario) -> str:
    """A name that sorts by time and says what was run."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{scenario.name}-{scenario.scale}"


def plan_run(request: Request, hosts: Sequence[Host], runs: Path) -> dict[str, Any]:
    """Compile a request and make its run folder; returns the content of ``run.json``.

    Raises `BadInput` for a bad scenario, too small an inventory, or a folder that is there.
    """
    scenario = load_scenario(request.scenario_file, request.scale, request.settings)
    run_id = request.run_id or new_run_id(scenario)
    seed = request.seed if request.seed is not None else time.time_ns() % 2**31
    compiled = compile_scenario(scenario, hosts, run_id=run_id, seed=seed)
    told = {
        "title": scenario.title,
        "test_plan": scenario.test_plan,
        "settings": list(request.settings),
        **_router(scenario),
        "checks": list(scenario.checks),
        "verbose": scenario.watch.verbose,
        "left_out": list(scenario.left_out),
        "topology": compiled.topology,
        "registrar": compiled.registrar,
        "captured": captured(compiled.plans),
        "means": means(compiled.plans),
    }
    record = make_folder(runs, compiled.plans, hosts, told)
    shutil.copyfile(request.scenario_file, runs / run_id / "scenario.yml")
    if isinstance(scenario.instrument, Valgrind) and scenario.instrument.baseline:
        file = request.scenario_file.parent / scenario.instrument.baseline
        save_report(read_report(file, Objects()), runs / run_id / BASELINE_FILE)
    _point_latest(runs, run_id)
    return record


def captured(plans: Mapping[str, Plan]) -> list[str]:
    """The hosts that keep packets."""
    return [
        name
        for name, plan in plans.items()
        if any(worker.kind == "capture" and worker.spec["keep"] for worker in plan.workers)
    ]


def means(plans: Mapping[str, Plan]) -> dict[str, list[str]]:
    """What faults need on the hosts they are planted on, of every host where they need anything."""
    needed = {
        name: sorted({means for fault in faults(plan) for means in fault.means})
        for name, plan in plans.items()
    }
    return {name: found for name, found in needed.items() if found}


def _router(scenario: Scenario) -> dict[str, Any]:
    """What the router gets in this run, and the tool it runs under, if any."""
    tool = scenario.instrument
    if tool is None:
        return {"router": scenario.router}
    return {"router": instrumented(scenario.router, tool), "instrument": tool.told()}


def make_folder(
    runs: Path, plans: Mapping[str, Plan], hosts: Sequence[Host], told: Mapping[str, Any]
) -> dict[str, Any]:
    """Make a run folder of these plans; returns its ``run.json``, with `told` in it.

    `BadInput` for a folder that is there.
    """
    plan = next(iter(plans.values()))
    folder = runs / plan.run_id
    try:
        (folder / "plans").mkdir(parents=True)
    except FileExistsError:
        raise BadInput(f"{folder}: this run folder exists already; nothing was changed") from None
    for name, own in plans.items():
        (folder / "plans" / f"{name}.json").write_text(own.model_dump_json(indent=1))
    record = {
        "schema": 1,
        "run_id": plan.run_id,
        "scenario": plan.scenario,
        "scale": plan.scale,
        "seed": plan.seed,
        "zero": None,
        "duration_s": plan.duration_s,
        "phases": [phase.model_dump() for phase in plan.phases],
        "impaired": any(own.impairments for own in plans.values()),
        "router": {},
        "hosts": {host.name: host.model_dump() for host in hosts if host.name in plans},
        "screamlab": __version__,
        **told,
    }
    write_record(folder, record)
    return record


def _point_latest(runs: Path, run_id: str) -> None:
    link = runs / f".latest-{os.getpid()}"
    link.symlink_to(run_id)
    link.replace(runs / "latest")
