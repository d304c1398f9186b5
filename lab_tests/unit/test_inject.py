"""Faults: what each does to the host it is planted on, and that it is undone."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from screamlab.agent.context import WorkerContext
from screamlab.errors import BadInput, InfraError
from screamlab.evidence.spool import Spool, read_lines
from screamlab.inject import disk, packets, preload, worker
from screamlab.inject.fault import Place
from screamlab.inject.packets import Repeat
from screamlab.inject.route import Route
from screamlab.inject.signals import Signal
from screamlab.scenario.plan import Endpoint, Plan, Worker

PLACE = Place(
    agent="screamlab-r.service",
    device="data0",
    router="https://198.19.0.10:8443",
    local=Endpoint(address="198.19.0.11", port=41000),
)
AT = {"name": "f", "phase": "hold", "at_seconds": 0, "for_seconds": 0.4}


def context(folder: Path, seconds: float = 0.4) -> WorkerContext:
    spool = Spool(folder, writer="fault-f", host="client1")
    return WorkerContext("fault-f", "client1", time.time(), 0.0, seconds, spool, folder)


def carried_out(folder: Path, seconds: float = 0.4, **fault: Any) -> list[str]:
    """The kinds of the events of a fault that was planted and undone."""
    at = context(folder, seconds)
    try:
        worker.run({"fault": {**AT, **fault}, "place": PLACE.model_dump()}, at)
    finally:
        at.spool.close()
    return [line["kind"] for line in read_lines(folder / "events-fault-f.jsonl").records]


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """One that would run for a minute, and is the main process of every unit."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as found:
        monkeypatch.setattr("screamlab.router.service.SystemdService.pid", lambda _: found.pid)
        yield found
        found.kill()


def state(pid: int) -> str:
    """As proc_pid_stat(5) has it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_what_is_killed_is_told_before(tmp_path: Path, process: subprocess.Popen[bytes]) -> None:
    told = carried_out(tmp_path, kind="signal", signal="KILL", unit="u.service")
    assert told == ["fault.begin", "fault.end"]
    assert process.wait(5) == -signal.SIGKILL


def test_what_stands_still_goes_on_in_any_case(
    tmp_path: Path, process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    def look(*_: object) -> bool:
        # A signal takes a moment to arrive.
        time.sleep(0.2)
        seen.append(state(process.pid) == "T")
        return len(seen) < 4

    monkeypatch.setattr(WorkerContext, "sleep_until", look)
    fault = {"stopped_ms": 20, "running_ms": 20, "for_seconds": 60}
    at = {"kind": "signal", "signal": "STOP", "unit": "u.service"}
    carried_out(tmp_path, 60.0, **at, **fault)
    assert seen == [False, True, False, True]
    time.sleep(0.2)
    assert state(process.pid) != "T"


def test_a_process_that_is_not_there_cannot_be_told_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("screamlab.router.service.SystemdService.pid", lambda _: None)
    with pytest.raises(InfraError, match="no such process"):
        carried_out(tmp_path, kind="signal", signal="KILL", worker="sampler")


def test_a_workers_programs_are_found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    own = os.getpid()
    name = Path("/proc/self/comm").read_text().strip()
    monkeypatch.setattr("screamlab.router.service.SystemdService.pid", lambda _: 1)
    monkeypatch.setattr("screamlab.inject.signals.worker_pids", lambda *_: [own, own])
    told = {**AT, "kind": "signal", "signal": "KILL", "worker": "w"}
    assert Signal(**told)._pids(PLACE) == [own]
    assert Signal(**told, program=name)._pids(PLACE) == [own]
    assert Signal(**told, program="chromium")._pids(PLACE) == []


@pytest.fixture
def nft(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The rule sets that nft was given."""
    given: list[str] = []
    monkeypatch.setattr(packets, "output", lambda _, rules: given.append(rules))
    return given


@pytest.mark.parametrize(
    ("fault", "rule"),
    [({}, "udp dport 41000 drop"), ({"protocol": "tcp", "port": 8443}, "tcp dport 8443 drop")],
)
def test_packets_are_dropped_in_a_table_that_goes_away(
    tmp_path: Path, nft: list[str], fault: dict[str, Any], rule: str
) -> None:
    carried_out(tmp_path, kind="drop", **fault)
    planted, undone = nft
    assert planted.endswith(f"add rule inet screamlab_f input {rule}")
    assert undone == "add table inet screamlab_f; delete table inet screamlab_f"


def test_packets_of_no_stream_cannot_be_dropped(nft: list[str], tmp_path: Path) -> None:
    nowhere = PLACE.model_copy(update={"local": None})
    fault = packets.Drop(**AT, kind="drop")
    with pytest.raises(BadInput, match="must name the stream"):
        fault.plant(nowhere, context(tmp_path))


def test_single_packets_are_changed_and_their_numbers_begin_anew() -> None:
    fault = Repeat(**{**AT, "for_seconds": 3.0}, kind="repeat", every=100)
    # 500 packets in 3 s; the first 100 are let go.
    assert sorted(fault._changed(1000)) == [1100, 1200, 1300, 1400]
    assert fault._changed(65500) == {64, 164, 264, 364}


def test_a_route_is_led_astray_and_back() -> None:
    added = Route(**AT, kind="route", source="b", sink="out")
    assert str(added._change()) == "add route lab-b-to-out"
    assert str(added._change(back=True)) == "remove route lab-b-to-out"
    instead = Route(**AT, kind="route", source="b", sink="out", instead_of="a")
    there, back = instead._change(), instead._change(back=True)
    assert str(there) == str(back) == "update route lab-a-to-out"
    assert (there.fields["source"], back.fields["source"]) == ("lab-b", "lab-a")


@pytest.mark.parametrize(
    ("name", "fault", "number"),
    [
        (
            "RESOURCES",
            {"kind": "take", "resource": "threads", "per_second": 2.5},
            (0, 0, 2500, 0, 0),
        ),
        ("CLOCK", {"kind": "clock", "step_ms": -400}, (-400_000_000,)),
    ],
)
def test_libraries_are_told_by_numbers(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    fault: dict[str, Any],
    number: tuple[int, ...],
) -> None:
    shared = tmp_path / "shared"
    monkeypatch.setattr(preload, name, shared)
    with pytest.raises(InfraError, match="no process has loaded it"):
        carried_out(tmp_path, **fault)
    shared.write_bytes(bytes(8 * len(number)))
    during = []
    monkeypatch.setattr(
        WorkerContext, "sleep_until", lambda *_: during.append(shared.read_bytes()) or True
    )
    carried_out(tmp_path, **fault)
    assert struct.unpack(f"={len(number)}q", during[-1]) == number
    assert not any(shared.read_bytes())


def test_an_agent_that_ends_undoes_what_a_fault_has_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ballast = tmp_path / "ballast"
    monkeypatch.setattr(disk, "BALLAST", ballast)
    spec = {"fault": {**AT, "kind": "disk"}, "place": PLACE.model_dump()}
    plan = Plan(
        run_id="r",
        host="client1",
        scenario="s",
        scale="quick",
        seed=1,
        duration_s=1.0,
        phases=(),
        workers=(Worker(name="fault-f", kind="fault", from_s=0.0, to_s=1.0, spec=spec),),
    )
    ballast.touch()
    for _ in range(2):
        worker.release(plan)
        assert not ballast.exists()


def test_a_disk_that_is_too_large_is_not_filled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "BALLAST", tmp_path / "ballast")
    memory = type("Memory", (), {"available": 0})
    monkeypatch.setattr(disk.psutil, "virtual_memory", memory)
    with pytest.raises(InfraError, match="is too much"):
        carried_out(tmp_path, kind="disk")
    assert not (tmp_path / "ballast").exists()
