"""What logs tell: each class of pattern trips its check on lines that were really said, and a real
healthy log trips none."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import get_args

import pytest

from screamlab.agent.workers import KINDS
from screamlab.evidence.journal import Entry, read_journal
from screamlab.evidence.timeline import Line
from screamlab.judge.canary import CLIENTS, ROUTER, UNIT, ZERO, CanaryRun
from screamlab.judge.log_patterns import began_with, patterns, told
from screamlab.judge.model import CheckResult
from screamlab.judge.run import judge
from screamlab.judge.view import Run
from screamlab.paths import CHECKOUT
from screamlab.scenario.valgrind import Tool

DATA = CHECKOUT / "lab_tests/data/logs"
IDS = ("log.fatal", "log.exhaustion", "log.errors", "log.warnings")
HOLD_AT = 30.0

Plant = Callable[[CanaryRun], None]


def healthy() -> CanaryRun:
    """A made-up run with what 0.3.75 logged in a tc-stress-001 and an each-client that passed."""
    run = CanaryRun([{"id": check_id} for check_id in IDS])
    with gzip.open(DATA / "healthy.jsonl.gz") as file:
        for line in map(json.loads, file):
            run.heard.append(Line(**{**line, "t": ZERO + line["t"]}))
    return run


def exported(name: str) -> Plant:
    """Lines of the router's own journal, moved to the hold."""

    def plant(run: CanaryRun) -> None:
        entries = read_journal(DATA / name)
        run.logged += [Entry(ZERO + HOLD_AT, entry.fields) for entry in entries]

    return plant


def kernel(*hosts: str) -> Plant:
    """A segmentation fault and an OOM kill of this project's own test machine, and another's."""

    def plant(run: CanaryRun) -> None:
        for record in map(json.loads, (DATA / "kernel_faults.jsonl").open()):
            for host in hosts:
                run.hear(HOLD_AT, record["text"], host)

    return plant


def bad(run: CanaryRun) -> dict[tuple[str, str], CheckResult]:
    results = judge(Run(run), ()).checks
    return {(r.id, r.subject): r for r in results if r.status != "pass"}


def test_a_real_healthy_log_trips_nothing() -> None:
    run = healthy()
    assert bad(run) == {}
    seen = told(Run(run)).seen
    harmless = {name for name, one in seen.items() if one.at_s}
    assert {"no-name-server", "sentinel", "track-not-open", "deadlock-debug"} <= harmless


FAULTS: dict[str, tuple[Plant, set[tuple[str, str]], str]] = {
    "router killed by a signal": (
        exported("router_segv.export.gz"),
        {("log.fatal", "unit-crashed"), ("log.fatal", "python-fatal")},
        "status=#/SEGV",
    ),
    "router out of descriptors": (
        exported("router_descriptors.export.gz"),
        {("log.exhaustion", "descriptors"), ("log.errors", "error-line"),
         ("log.errors", "traceback")},
        "[Errno #] Too many open files",
    ),
    "kernel": (
        kernel("machine"),
        {("log.fatal", "kernel-segfault"), ("log.fatal", "kernel-oom")},
        "1 of ",
    ),
    "one kernel heard through two hosts": (
        kernel("client1", "client2"),
        {("log.fatal", "kernel-segfault"), ("log.fatal", "kernel-oom")},
        "1 of ",
    ),
    "hang told by the engine": (
        lambda run: run.log(
            HOLD_AT,
            "[ERROR:2026-01-01 00:00:00,000][audio_engine_config_applier.cpp:150:7]"
            "[ConfigApplier] TIMEOUT: Phase 'sinks' exceeded 500 ms - still running!",
        ),
        {("log.fatal", "config-applier-timeout")},
        "Phase 'sinks' exceeded # ms",
    ),
    "another unit runs out of room": (
        lambda run: run.log(HOLD_AT, "write: No space left on device", unit="ssh.service"),
        {("log.exhaustion", "disk")},
        "No space left",
    ),
    "warnings": (
        lambda run: [run.log(HOLD_AT, f"[WARNING:x][m.cpp:1:2]slow {n}") for n in range(90)]
        and None,
        {("log.warnings", "warning-line")},
        "(90 ×): [WARNING:x][m.cpp:#:#]slow #",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_trips_its_patterns_alone(name: str) -> None:
    plant, expected, words = FAULTS[name]
    run = healthy()
    plant(run)
    found = bad(run)
    assert found.keys() == expected
    assert {result.status for result in found.values()} == {"fail"}
    assert any(words in result.reason for result in found.values()), found


def test_another_process_of_the_machine_is_not_the_labs() -> None:
    run = healthy()
    kernel("machine")(run)
    segfault = bad(run)["log.fatal", "kernel-segfault"]
    assert "native-sender[#]" in segfault.reason and "somebody-else" not in segfault.reason


@pytest.mark.parametrize("kind", sorted({*KINDS} - {"sip_registrar"}))
def test_every_worker_is_the_labs(kind: str) -> None:
    assert patterns().processes.fullmatch(kind.replace("_", "-")[:15])


@pytest.mark.parametrize("tool", get_args(Tool))
def test_the_router_under_a_tool_is_the_labs(tool: str) -> None:
    assert patterns().processes.fullmatch(f"{tool}-amd64-linux"[:15])


def test_what_the_kernel_said_is_needed_to_acquit_it() -> None:
    run = healthy()
    run.deaf = {CLIENTS[1]}
    found = bad(run)
    assert {result.status for result in found.values()} == {"unknown"}
    assert {name for _, name in found} == {
        pattern.id for pattern in patterns().patterns if pattern.of == ("kernel",)
    }
    assert all(CLIENTS[1] in result.reason for result in found.values())


def test_a_router_whose_log_is_elsewhere_is_not_acquitted_by_others() -> None:
    run = healthy()
    run.logged = []
    run.heard = [line for line in run.heard if line.source != UNIT]
    run.log(HOLD_AT, "nothing of note", unit="other.service")
    found = bad(run)
    assert {result.status for result in found.values()} == {"unknown"}
    assert {name for _, name in found} == {
        pattern.id
        for pattern in patterns().patterns
        if pattern.of == ("router",) and pattern.severity != "harmless"
    }


def test_a_journal_that_lost_lines_acquits_nobody() -> None:
    run = healthy()
    run.log(HOLD_AT, "Suppressed 4711 messages from screamrouter.service")
    found = bad(run)
    assert {result.status for result in found.values()} == {"invalid"}
    assert {check_id for check_id, _ in found} == set(IDS)


def test_a_router_that_is_held_up_may_be_slow_to_configure() -> None:
    run = healthy()
    run.log(HOLD_AT, "[ConfigApplier] TIMEOUT: Phase 'sinks' exceeded 500 ms")
    run.event(HOLD_AT, ROUTER, "sender.overrun", "native-sender", late_ms=80.0)
    assert bad(run) == {}


def test_what_began_with_an_impairment() -> None:
    run = healthy()
    impaired = next(phase for phase in run.phases if phase.kind == "impaired")
    run.log(impaired.from_s + 2.0, "sendto: No buffer space available")
    reason = bad(run)["log.exhaustion", "buffers"].reason
    assert "2.0 s after impairment" in reason and CLIENTS[0] in reason


@pytest.mark.parametrize("before_s", [-5.0, 35.0])
def test_what_was_there_before_began_with_nothing(before_s: float) -> None:
    run = healthy()
    impaired = next(phase for phase in run.phases if phase.kind == "impaired")
    for at_s in (before_s, impaired.from_s + 2.0):
        run.log(at_s, "sendto: No buffer space available")
    view = Run(run)
    assert began_with(view, told(view).seen["buffers"]) is None


def test_the_routers_log_files_are_not_counted_twice() -> None:
    run = healthy()
    line = "[ERROR:2026-01-01 00:00:00,000][a.py:1:2]accept: Too many open files"
    run.heard.append(Line(ZERO + HOLD_AT, ROUTER, "log", "all.log", 3, line))
    assert bad(run) == {}


def test_every_pattern_has_a_name_and_a_reason_of_its_own() -> None:
    known = patterns().patterns
    assert len({pattern.id for pattern in known}) == len(known)
    assert len({pattern.reason for pattern in known}) == len(known)
