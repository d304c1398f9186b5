"""The driver of cycles: planned times, failures that stop nothing, and whose delay is whose."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from screamlab.agent.context import WorkerContext
from screamlab.errors import BadInput
from screamlab.evidence.spool import Spool, read_lines
from screamlab.load.churn.driver import CycleFailed, Driver, Took
from screamlab.load.churn.model import ConfigChurn, Cycle, read_spec


def context(folder: Path) -> WorkerContext:
    spool = Spool(folder, writer="churn", host="client1")
    return WorkerContext("churn", "client1", time.time(), 0.0, 60.0, spool, folder)


def cycle(number: int, from_s: float, to_s: float, lane: int = 1) -> Cycle:
    return Cycle(number=number, lane=lane, from_s=from_s, to_s=to_s)


class Client:
    """Connects and leaves as it is told; keeps what happened when, in seconds after zero."""

    def __init__(self, cycle: Cycle, context: WorkerContext, log: list[Any], **how: Any) -> None:
        self.number, self.context, self.log, self.how = cycle.number, context, log, how

    async def open(self) -> Took:
        return await self._do("open")

    async def close(self) -> Took:
        return await self._do("close")

    async def _do(self, what: str) -> Took:
        self.log.append((what, self.number, self.context.now_s()))
        await asyncio.sleep(self.how.get(f"{what}_s", 0.0))
        if error := self.how.get(f"{what}_error"):
            raise error
        return Took(12.0, {f"{what}_extra": 1})


def drive(folder: Path, cycles: list[Cycle], how: dict[int, dict[str, Any]] | None = None) -> Any:
    """The log of what was done and the events, by cycle."""
    its, log = context(folder), []

    def connect(one: Cycle) -> Client:
        return Client(one, its, log, **(how or {}).get(one.number, {}))

    asyncio.run(Driver("g", cycles, connect, its).run())
    events = read_lines(folder / "events-churn.jsonl").records
    assert all((e["kind"], e["subject"]) == ("churn.cycle", "churn/g") for e in events)
    return log, {event["number"]: event for event in events}


def test_cycles_keep_their_times_and_lanes_overlap(tmp_path: Path) -> None:
    cycles = [cycle(1, 0.1, 0.4), cycle(2, 0.2, 0.3, lane=2), cycle(3, 0.5, 0.6)]
    log, events = drive(tmp_path, cycles)
    assert [(what, number) for what, number, _ in log] == [
        ("open", 1), ("open", 2), ("close", 2), ("close", 1), ("open", 3), ("close", 3),
    ]  # fmt: skip
    for planned in cycles:
        open_s, close_s = (at for _, number, at in log if number == planned.number)
        assert (open_s, close_s) == pytest.approx((planned.from_s, planned.to_s), abs=0.08)
    assert events[1]["ok"] is True and events[1]["lane"] == 1
    assert (events[1]["connect_ms"], events[1]["disconnect_ms"]) == (12.0, 12.0)
    assert events[1]["open_extra"] == 1 and events[1]["late_ms"] < 80


@pytest.mark.parametrize(
    "error", [CycleFailed("nobody answered"), OSError(113, "No route to host")]
)
def test_a_cycle_that_fails_is_told_closed_and_stops_no_other(
    tmp_path: Path, error: Exception
) -> None:
    cycles = [cycle(1, 0.0, 0.1), cycle(2, 0.2, 0.3)]
    log, events = drive(tmp_path, cycles, {1: {"open_error": error, "close_error": error}})
    assert [(what, number) for what, number, _ in log][:2] == [("open", 1), ("close", 1)]
    assert events[1]["ok"] is False and events[1]["error"] == str(error)
    assert "connect_ms" not in events[1]
    assert events[2]["ok"] is True


def test_one_that_cannot_leave_has_connected_and_failed(tmp_path: Path) -> None:
    _, events = drive(
        tmp_path, [cycle(1, 0.0, 0.1)], {1: {"close_error": CycleFailed("it is still there")}}
    )
    assert (events[1]["ok"], events[1]["error"]) == (False, "it is still there")
    assert events[1]["connect_ms"] == 12.0 and "disconnect_ms" not in events[1]


def test_a_lane_held_up_by_its_cycle_before_is_not_the_labs_delay(tmp_path: Path) -> None:
    cycles = [cycle(1, 0.0, 0.1), cycle(2, 0.2, 0.9), cycle(3, 1.0, 1.1), cycle(4, 1.2, 1.3)]
    _, events = drive(tmp_path, cycles, {1: {"close_s": 0.4}, 2: {"close_s": 0.6}})
    assert events[2]["waited_ms"] == pytest.approx(300, abs=80)
    assert events[2]["late_ms"] < 80 and events[2]["ok"] is True
    assert events[3]["ok"] is False and events[3]["error"].startswith("not begun")
    assert events[4]["ok"] is False


def test_told_to_stop_it_leaves_and_begins_no_more(tmp_path: Path) -> None:
    its, log = context(tmp_path), []
    driver = Driver(
        "g", [cycle(1, 0.0, 30.0), cycle(2, 31.0, 32.0)], lambda c: Client(c, its, log), its
    )

    async def stopped() -> None:
        running = asyncio.create_task(driver.run())
        while not log:
            await asyncio.sleep(0.01)
        its.stopping.set()
        await asyncio.wait_for(running, 2)

    asyncio.run(stopped())
    assert [what for what, _, _ in log] == ["open", "close"]
    assert not read_lines(tmp_path / "events-churn.jsonl").records


@pytest.mark.parametrize(
    "change,words",
    [
        ({"router": None}, "router"),
        ({"cycles": [{"number": 1, "lane": 1, "from_s": 2.0, "to_s": 2.0}]}, "does not last"),
        ({"lanes": [{"number": 1}]}, "lanes.0"),
        ({"hat": 1}, "hat"),
    ],
)
def test_a_spec_that_is_wrong_is_refused_by_name(change: dict[str, Any], words: str) -> None:
    spec = {"group": "g", "cycles": [], "router": "https://router", "lanes": []}
    assert read_spec(ConfigChurn, spec).group == "g"
    with pytest.raises(BadInput, match=words):
        read_spec(ConfigChurn, {**spec, **change})
