"""TC-STRESS-002 on real hosts with the real router: clients that come and go."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from labs import Lab, verdict_of

from screamlab.evidence.bundle import Bundle
from screamlab.run.record import read_record
from screamlab.scenario.plan import read_plan

pytestmark = [pytest.mark.e2e, pytest.mark.quiet]

LENGTHS_S = {"quiet": 10, "churn": 30, "quiet-again": 10}
SHORT = [f"--set=phases.{name}.seconds={length}" for name, length in LENGTHS_S.items()]
KINDS = {"register": "sip", "streams": "rtp", "listeners": "webrtc", "routes": "config"}


@pytest.fixture(scope="module")
def judged(lab: Lab) -> Path:
    """The folder of one quick tc-stress-002: PASS, or FAIL by a router that hung.

    0.3.75 does hang: `AudioManager` and `TimeshiftManager` take their locks in both orders.
    """
    folder, done = lab.judged("tc-stress-002", "churn", *SHORT)
    failed = {one["id"] for one in checks(folder) if one["status"] == "fail"}
    expected = 1 if "router.hang" in failed else 0
    assert done.returncode == expected, done.stdout[-4000:] + done.stderr[-2000:]
    return folder


def checks(folder: Path) -> list[dict[str, Any]]:
    """The results of all checks of a run."""
    found: list[dict[str, Any]] = verdict_of(folder)["checks"]
    return found


@pytest.fixture(scope="module")
def begun(judged: Path) -> dict[str, dict[int, dict[str, Any]]]:
    """The cycles that were begun, by group and number."""
    found: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
    with Bundle(judged) as bundle:
        for event in bundle.events("churn.cycle"):
            found[event["subject"].removeprefix("churn/")][event["number"]] = event
    return found


def planned(folder: Path) -> dict[str, set[int]]:
    """The numbers of all cycles in the plans, by group."""
    numbers: dict[str, set[int]] = defaultdict(set)
    for host in read_record(folder)["hosts"]:
        for worker in read_plan(folder / "plans" / f"{host}.json").workers:
            if worker.kind.startswith("churn_"):
                own = {cycle["number"] for cycle in worker.spec["cycles"]}
                assert not own & numbers[worker.spec["group"]]
                numbers[worker.spec["group"]] |= own
    return numbers


def test_every_planned_cycle_of_every_kind_was_begun(
    judged: Path, begun: dict[str, dict[int, dict[str, Any]]]
) -> None:
    wanted = planned(judged)
    assert wanted.keys() == KINDS.keys()
    assert {group: set(cycles) for group, cycles in begun.items()} == wanted


def test_cycles_that_succeeded_say_how_long_they_took_and_others_why_not(
    begun: dict[str, dict[int, dict[str, Any]]],
) -> None:
    for group, cycles in begun.items():
        for cycle in cycles.values():
            if cycle["ok"]:
                assert cycle["connect_ms"] > 0 and cycle["disconnect_ms"] >= 0, cycle
            else:
                assert cycle["error"], cycle
        if group == "register":
            assert all(cycle["ok"] for cycle in cycles.values())


def test_a_hang_was_looked_into_before_anything_was_ended(judged: Path) -> None:
    with Bundle(judged) as bundle:
        hangs = bundle.events("router.hang")
    for hang in hangs:
        native = [name for name in hang["files"] if "gdb" in name]
        (file,) = judged.glob(f"hosts/*/**/{native[0]}")
        assert "start_thread" in file.read_text()


def test_churn_is_judged(judged: Path) -> None:
    by_check = defaultdict(set)
    for result in checks(judged):
        by_check[result["id"]].add(result["subject"])
    assert by_check["churn.cycles"] == {f"churn/{group}" for group in KINDS}
    assert "process/router/descriptors" in by_check["churn.leak"]
    assert "router/webrtc_listeners" in by_check["churn.leak"]
    assert by_check["router.hang"] == {"router"}
