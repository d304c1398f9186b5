"""The worker that breaks one device as the plan says, and mends it again.

Spec: `{"impairments": [Impairment, …], "packets_per_s": null}`, all of one device and one after
the other; for `packets_per_s` see `screamlab.impair.translate.half`.

Events, of subject `impair/<target>` and with the device's and the profile's name: `impair.armed`
(before anything changes), `impair.applied{index}` (what was done and the tree the first time, then
the step's index alone), `impair.step_late{index, late_ms}`, `impair.healed{verified, left}`.
Series `impair/<target>/<from_host|to_host>`, once a second: packets, bytes, drops, overlimits since
it was applied, and the packets that wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from itertools import count
from typing import Any, Literal

from pydantic import Field, ValidationError

from screamlab.agent.context import WorkerContext
from screamlab.errors import BadInput, InfraError
from screamlab.impair import apply, commands, heal, marks
from screamlab.impair.batch import Batch
from screamlab.impair.condition import Impairment, Schedule, Strict
from screamlab.impair.device import Device, Wanted, mtu, observe
from screamlab.impair.plan import change, plan
from screamlab.impair.qdisc import devices, seen
from screamlab.impair.tc import Direction, Half, ifb_of
from screamlab.impair.translate import facing_direction, half, matches

# A device is prepared this long before it is impaired. It takes a dozen processes, and a busy
# User-Mode Linux up to half a second for each.
LEAD_S = 10.0
# The dead man heals this long after the worker should have.
MARGIN_S = 30.0
LATE_S = 0.05
SAMPLE_S = 1.0

_NOTHING: Wanted = {"egress": None, "ingress": None}
OfHost = Literal["from_host", "to_host"]
OF_HOST: tuple[OfHost, ...] = ("from_host", "to_host")


class Spec(Strict):
    """What a worker is told."""

    impairments: tuple[Impairment, ...] = Field(min_length=1)
    packets_per_s: float | None = Field(default=None, gt=0)


def run(spec: dict[str, Any], context: WorkerContext) -> None:
    """Carry out the impairments, each in its own time, until the last one's end.

    `BadInput` when the spec is wrong; `InfraError` when the device cannot be, or was not, impaired
    as asked. The device is healed in any case.
    """
    try:
        wanted = Spec.model_validate(spec)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "spec"
        raise BadInput(f"impairment: {where}: {first['msg']}") from error
    for impairment in sorted(wanted.impairments, key=lambda item: item.from_s):
        if context.now_s() < impairment.to_s:
            work = Work(impairment, context, wanted.packets_per_s)
            if not context.sleep_until(impairment.from_s - LEAD_S):
                return
            work.run()


def release(impairments: tuple[Impairment, ...]) -> None:
    """Heal what a plan may have left impaired; `InfraError` when that cannot be."""
    problems = heal.release(impairments)
    if problems:
        raise InfraError("; ".join(problems))


class Work:
    """One impairment of one device, from its dead man to its heal."""

    def __init__(
        self, impairment: Impairment, context: WorkerContext, packets_per_s: float | None
    ) -> None:
        self._impairment = impairment
        self._context = context
        self._device = impairment.device
        self._directions: dict[OfHost, Direction] = {
            of_host: facing_direction(impairment.facing, of_host) for of_host in OF_HOST
        }
        self._steps = _steps(impairment, self._directions, packets_per_s)

    def run(self) -> None:
        """Impair, follow the schedule, heal."""
        left = marks.read(self._device)
        if left:
            raise InfraError(f"{self._device} was not healed after an earlier impairment: heal it")
        try:
            self._impair()
        finally:
            self._heal()

    def _impair(self) -> None:
        context, it = self._context, self._impairment
        first = self._steps[0]
        prepared = apply.prepare(self._device, first, it.selector)
        watcher = apply.arm(prepared, max(0.0, it.to_s - context.now_s()) + MARGIN_S)
        self._event("armed", watcher=watcher, heals_at_s=it.to_s + MARGIN_S)
        commands.put_tables(item.table for step in self._steps for item in step.values())
        filters = [command for command in prepared.commands if command.words[0] == "filter"]
        commands.carry_out([c for c in prepared.commands if c not in filters])
        batch = Batch()
        try:
            if context.sleep_until(it.from_s):
                batch.send(filters)
                device = self._verify(batch, prepared)
                self._follow(batch)
                # The network is whole at once; the heal that proves it takes its time.
                batch.send(c for c in plan(device, _NOTHING, {}) if c.program == "tc")
        finally:
            batch.close()

    def _verify(self, batch: Batch, prepared: apply.Prepared) -> Device:
        device = observe(self._device, batch.ask)
        undone = plan(device, prepared.wanted, marks.tables(self._device))
        if undone:
            raise InfraError(f"{self._device} is not as asked; still to do: {undone[0]}")
        lines = [str(command) for command in prepared.commands]
        self._event("applied", index=0, commands=lines, tree=_tree(device))
        return device

    def _follow(self, batch: Batch) -> None:
        context, it = self._context, self._impairment
        due = _times(it.schedule, it.from_s)
        step_s, index = next(due)
        sample_s = it.from_s + SAMPLE_S
        current = self._steps[0]
        while context.sleep_until(min(step_s, sample_s, it.to_s)):
            now_s = context.now_s()
            if now_s >= it.to_s:
                self._sample(batch)
                return
            if now_s >= step_s:
                late_s = now_s - step_s
                taken = index
                while now_s >= step_s:
                    taken = index
                    step_s, index = next(due)
                self._change(batch, current, self._steps[taken])
                current = self._steps[taken]
                self._event("applied", index=taken)
                if late_s > LATE_S:
                    self._event("step_late", index=taken, late_ms=round(1000 * late_s, 1))
            if now_s >= sample_s:
                self._sample(batch)
                sample_s += max(1, int((context.now_s() - sample_s) / SAMPLE_S) + 1) * SAMPLE_S

    def _change(
        self, batch: Batch, before: dict[Direction, Half], after: dict[Direction, Half]
    ) -> None:
        for direction, wanted in after.items():
            batch.send(change(self._device, direction, before[direction], wanted))

    def _sample(self, batch: Batch) -> None:
        samples = []
        for of_host, direction in self._directions.items():
            name = self._device if direction == "egress" else ifb_of(self._device)
            found = devices(batch.ask("qdisc", "show", "dev", name), name)
            counters = seen(found[name], []).counters
            samples.append((f"{self._subject}/{of_host}", asdict(counters)))
        self._context.spool.series_many(samples)

    def _heal(self) -> None:
        problem = heal.device(self._device)
        self._event("healed", verified=problem is None, left=[problem] if problem else [])

    @property
    def _subject(self) -> str:
        return f"impair/{self._impairment.target}"

    def _event(self, what: str, *, t: float | None = None, **fields: Any) -> None:
        about = {"device": self._device, "profile": self._impairment.profile}
        self._context.spool.event(f"impair.{what}", self._subject, t=t, **about, **fields)


def _steps(
    impairment: Impairment, directions: dict[OfHost, Direction], packets_per_s: float | None
) -> list[dict[Direction, Half]]:
    """Both directions of every step; all steps of a direction have a queue, or none has."""
    steps: list[dict[Direction, Half]] = [{} for _ in impairment.schedule.steps]
    largest, shortest_s = mtu(impairment.device), _shortest_step_s(impairment.schedule)
    for of_host, direction in directions.items():
        conditions = [getattr(step, of_host) for step in impairment.schedule.steps]
        queue = any(condition.rate_kbit for condition in conditions)
        matched = matches(impairment.selector, impairment.facing, direction)
        for step, condition in zip(steps, conditions, strict=True):
            step[direction] = half(
                condition,
                matched,
                mtu=largest,
                queue=queue,
                step_s=shortest_s,
                packets_per_s=packets_per_s,
            )
    return steps


def _shortest_step_s(schedule: Schedule) -> float:
    begins = [step.at_s for step in schedule.steps]
    ends = [*begins[1:], schedule.repeat_s or float("inf")]
    return min(end - begin for begin, end in zip(begins, ends, strict=True))


def _times(schedule: Schedule, from_s: float) -> Iterator[tuple[float, int]]:
    """When each step after the first is due, and its index; never ends."""
    for turn in count():
        for index, step in enumerate(schedule.steps):
            if turn or index:
                yield from_s + turn * (schedule.repeat_s or 0.0) + step.at_s, index
        if schedule.repeat_s is None:
            yield float("inf"), 0


def _tree(device: Device) -> dict[str, Any]:
    return {"egress": asdict(device.egress), "ingress": asdict(device.ingress)}
