"""A router under a tool: what the scenario's section becomes, and what is given more time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from screamlab.errors import BadInput
from screamlab.evidence.valgrind_report import BASELINE_FILE, Report, read_report, save_report
from screamlab.evidence.valgrind_stack import Objects
from screamlab.inventory import Host, host_from_vars
from screamlab.paths import CHECKOUT, SCENARIOS
from screamlab.run.folder import Request, plan_run
from screamlab.run.record import read_record
from screamlab.run.slowdown import slow_run
from screamlab.scenario.instrument import instrumented
from screamlab.scenario.model import find_scenario, load_scenario
from screamlab.scenario.plan import read_plan
from screamlab.scenario.valgrind import FOLDER, ROUTER_LIMITS, Valgrind, slowed_plan

MEASURED = {"factor": 40.0, "plain_s": 0.02, "tool_s": 0.8}


def host(name: str, group: str, number: int) -> Host:
    data = {"device": "data0", "address": f"198.19.0.{number}/24", "pool": "198.19.0.32/27"}
    return host_from_vars(name, [group], {"screamlab_data": data})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The run folder of a quick tc-stability-001."""
    hosts = [host("router1", "routers", 10), host("client1", "clients", 11)]
    request = Request(find_scenario("tc-stability-001", SCENARIOS), "quick", run_id="one", seed=1)
    plan_run(request, hosts, tmp_path)
    return tmp_path / "one"


def test_the_section_becomes_a_command_line_and_an_environment() -> None:
    asked = {"version": "0.3.75", "environment": {"A": "b"}}
    router = instrumented(asked, Valgrind(tool="memcheck"))
    words = router["wrapper"]
    assert words[:2] == ["/usr/bin/valgrind", "--tool=memcheck"]
    assert {"--leak-check=full", "--show-leak-kinds=all", "--xml=yes"} <= set(words)
    assert words[-1] == f"--xml-file={FOLDER}/memcheck.%p.xml"
    assert router["environment"]["A"] == "b" and "LD_PRELOAD" in router["environment"]
    assert router["version"] == "0.3.75"
    assert "--track-origins=yes" in Valgrind(tool="memcheck", track_origins=True).wrapper
    assert Valgrind(tool="dhat").wrapper[-1] == f"--dhat-out-file={FOLDER}/dhat.%p.json"
    assert not [word for word in Valgrind(tool="massif").wrapper if "xml" in word]


def test_limits_are_those_of_the_role_until_they_are_made_longer() -> None:
    defaults = yaml.safe_load((CHECKOUT / "roles/router/defaults/main.yml").read_text())
    assert {key: defaults["router_defaults"][key] for key in ROUTER_LIMITS} == ROUTER_LIMITS


def test_a_tool_that_tells_nothing_that_is_asked_is_refused(tmp_path: Path) -> None:
    file = find_scenario("tc-stability-001", SCENARIOS)
    text = file.read_text().partition("\nchecks:")[0] + "\nchecks:\n  - {id: valgrind.leaks}\n"
    (tmp_path / file.name).write_text(text)
    with pytest.raises(BadInput, match="tells nothing that a check here asks for"):
        load_scenario(tmp_path / file.name, "quick", ["instrument.tool=massif"])


@pytest.mark.parametrize(
    ("tool", "asked"),
    [
        ("memcheck", {"valgrind.operations", "valgrind.leaks", "valgrind.errors"}),
        ("helgrind", {"valgrind.operations", "valgrind.errors"}),
        ("massif", {"valgrind.operations"}),
    ],
)
def test_what_a_tool_does_not_tell_is_not_asked_of_it(tool: str, asked: set[str]) -> None:
    file = find_scenario("tc-stability-001", SCENARIOS)
    checks = {
        check["id"] for check in load_scenario(file, "quick", [f"instrument.tool={tool}"]).checks
    }
    assert {check for check in checks if check.startswith("valgrind.")} == asked


def test_a_run_is_made_slower_once(folder: Path) -> None:
    before = read_record(folder)["router"]
    assert slow_run(folder, MEASURED, dry=True)
    assert read_record(folder)["router"] == before
    assert slow_run(folder, MEASURED)
    record = read_record(folder)
    assert (record["slowdown"], record["measured"]) == (40.0, MEASURED)
    assert record["router"]["ready_timeout_s"] == 40 * before["ready_timeout_s"]
    assert record["router"]["environment"]["CONFIGURATION_RELOAD_TIMEOUT"] == 120
    assert not slow_run(folder, {**MEASURED, "factor": 2.0})
    assert read_record(folder) == record


def test_all_who_wait_for_the_router_are_given_more_time(folder: Path) -> None:
    slow_run(folder, MEASURED)
    specs: dict[str, Any] = {}
    for file in (folder / "plans").glob("*.json"):
        plan = read_plan(file)
        for worker in plan.workers:
            specs[worker.kind] = worker.spec
            assert worker.to_s <= plan.duration_s + 1e-6, worker.name
    assert specs["router_stats"]["slowdown"] == 40.0
    limits = {kind: spec["limit_s"] for kind, spec in specs.items() if kind.startswith("churn_")}
    assert limits.keys() == {"churn_sip", "churn_rtp", "churn_webrtc", "churn_config"}
    # Not 200 s: the plan ends before.
    assert all(30 < limit <= 110 for limit in limits.values()), limits


def test_where_there_is_time_the_limit_is_as_much_longer(folder: Path) -> None:
    plan = read_plan(folder / "plans" / "client1.json")
    slowed = slowed_plan(plan.model_copy(update={"duration_s": 1e4}), 40.0)
    limits = {w.spec["limit_s"] for w in slowed.workers if w.kind.startswith("churn_")}
    assert limits == {200.0}


def test_a_run_whose_router_runs_plain_is_not_made_slower(folder: Path) -> None:
    record = json.loads((folder / "run.json").read_text())
    del record["instrument"]
    (folder / "run.json").write_text(json.dumps(record))
    with pytest.raises(BadInput, match="under no tool"):
        slow_run(folder, MEASURED)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("router.wrapper=[nice]", "exclude each other"),
        ("router.method=existing", "not the lab's to change"),
        ("instrument.baseline=none.xml", "there is no such file"),
        (
            "instrument.tool=lackey",
            "instrument.tool: .*'memcheck', 'massif', 'dhat', 'helgrind', 'drd'",
        ),
        ("instrument.tol=dhat", "known here: tool, track_origins, num_callers"),
    ],
)
def test_a_mistake_is_told_with_its_place(setting: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        load_scenario(find_scenario("tc-stability-001", SCENARIOS), "quick", [setting])


def test_a_baseline_comes_into_the_run_folder(tmp_path: Path) -> None:
    baseline = tmp_path / "before.json"
    save_report(Report("memcheck", 7), baseline)
    file = find_scenario("tc-stability-001", SCENARIOS)
    hosts = [host("router1", "routers", 10), host("client1", "clients", 11)]
    request = Request(file, "quick", [f"instrument.baseline={baseline}"], "two", 1)
    plan_run(request, hosts, tmp_path)
    assert read_report(tmp_path / "two" / BASELINE_FILE, Objects()).pid == 7
