"""A profiler of Python memory: what it makes of the router's start and of the plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from screamlab.errors import BadInput
from screamlab.inventory import Host, host_from_vars
from screamlab.paths import SCENARIOS
from screamlab.run.folder import Request, plan_run
from screamlab.scenario.model import Scenario, load_scenario
from screamlab.scenario.timeline import timeline

FILE = SCENARIOS / "tc-stability-002.yml"


def asked(*settings: str) -> Scenario:
    return load_scenario(FILE, "quick", settings)


def host(name: str, group: str, number: int) -> Host:
    data = {
        "device": "data0",
        "address": f"198.19.0.{10 + number}/24",
        "pool": f"198.19.0.{32 * number}/27" if number else None,
    }
    return host_from_vars(name, [group], {"screamlab_data": data})


def planned(runs: Path, *settings: str) -> dict[str, Any]:
    hosts = [host("router1", "routers", 0), *(host(f"c{n}", "clients", n) for n in (1, 2, 3))]
    return plan_run(Request(FILE, "quick", settings, "r", 1), hosts, runs)


@pytest.mark.parametrize("tool", ["objgraph", "tracemalloc", "memory_profiler", "memray"])
def test_a_tool_comes_before_the_router_s_module_in_its_command_line(
    tmp_path: Path, tool: str
) -> None:
    record = planned(tmp_path, f"instrument.tool={tool}", "router.version=0.3.73")
    launcher, *options = record["router"]["entry"]
    assert launcher == "/opt/screamlab/python-memory/memory_launcher"
    assert options[0] == f"--tool={tool}"
    assert options[-2:] == ["-m", "screamrouter"]
    assert not any(" " in word for word in options)
    assert record["router"]["version"] == "0.3.73"
    assert record["instrument"]["role"] == "python_memory"


def test_the_plan_asks_for_snapshots_from_the_phase_on_and_for_a_look_when_the_hold_ends(
    tmp_path: Path,
) -> None:
    planned(tmp_path)
    scenario = asked()
    begins = {}
    at_s = 0.0
    for phase in scenario.phases:
        begins[phase.name] = at_s
        at_s += phase.seconds
    plans = {file.stem: file.read_text() for file in (tmp_path / "r" / "plans").glob("*.json")}
    assert [name for name, text in plans.items() if "python_memory" in text] == ["router1"]
    assert scenario.instrument is not None
    (worker,) = scenario.instrument.workers(timeline(scenario), "x.service")
    assert worker.spec["at_s"] == [begins["watched"], begins["drain"]]
    assert worker.to_s == at_s


def test_a_run_without_a_tool_is_as_it_always_was(tmp_path: Path) -> None:
    record = planned(tmp_path, "instrument=null")
    assert record["router"] == {} and "instrument" not in record
    assert "python_memory" not in (tmp_path / "r" / "plans" / "router1.json").read_text()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["instrument.tool=pympler"], "instrument.tool"),
        (["instrument.interval=3"], "there is no such key; known here: tool"),
        (["instrument.interval_seconds=0"], "instrument.interval_seconds"),
        (["instrument.from_phase=later"], "there is no phase 'later'"),
        (["router.method=existing"], "the unit of an existing router is not the lab's to change"),
        (["router.entry=[-m, other]"], "router.entry and instrument exclude each other"),
    ],
)
def test_a_mistake_is_named(settings: list[str], sentence: str) -> None:
    with pytest.raises(BadInput, match="tc-stability-002.yml") as caught:
        asked(*settings)
    assert sentence in str(caught.value)
