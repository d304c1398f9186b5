"""A run whose router is slower than usual: every limit of time in it is made longer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from screamlab.errors import BadInput
from screamlab.run.record import read_record, write_record
from screamlab.scenario.plan import read_plan
from screamlab.scenario.valgrind import slowed_plan, slowed_router


def slow_run(folder: Path, measured: Mapping[str, Any], *, dry: bool = False) -> bool:
    """Note what was measured (`factor` and what it comes from), and make limits longer; whether
    anything changed.

    A run is made slower once; what is measured later does not count. `BadInput` for a run whose
    router runs under no tool.
    """
    record = read_record(folder)
    if record.get("instrument") is None:
        raise BadInput(f"{folder}: the router of this run runs under no tool")
    if "slowdown" in record:
        return False
    if dry:
        return True
    factor = float(measured["factor"])
    for file in (folder / "plans").glob("*.json"):
        file.write_text(slowed_plan(read_plan(file), factor).model_dump_json(indent=1))
    router = slowed_router(record["router"], factor)
    write_record(folder, {**record, "router": router, "slowdown": factor, "measured": measured})
    return True
