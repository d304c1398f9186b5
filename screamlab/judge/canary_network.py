"""A made-up impairment and what probes would find of it, packet by packet as netem does it.

Written after sch_netem.c without `screamlab.impair.expect`, so that each can be held against the
other.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from screamlab.impair.condition import (
    Condition,
    FourState,
    GilbertElliott,
    Impairment,
    IndependentLoss,
    Schedule,
    Selector,
    Step,
)
from screamlab.impair.probe_stream import DIRECTIONS, Direction, ProbeStream
from screamlab.scenario.plan import Endpoint, Worker

if TYPE_CHECKING:
    from screamlab.judge.canary import CanaryRun

BASE_MS = 0.15
CLOCK_MS = {"from_host": 3.0, "to_host": -3.0}
"""One-way delay of the whole network, and what the two hosts' clocks add to it."""

CALM_S = 60
"""How long before the impairment the probes begin: time enough to know the whole network."""

AUDIO_PER_S = 167.0
"""Packets of the one stream that a canary's client sends, and of the one that it is sent."""

DEFAULT = Schedule(
    steps=(
        Step(
            at_s=0,
            from_host=Condition(
                delay_ms=40,
                jitter_ms=5,
                loss=GilbertElliott(
                    model="gilbert_elliott", to_bad_percent=4, to_good_percent=40
                ),
            ),
            to_host=Condition(
                delay_ms=25,
                jitter_ms=4,
                distribution="uniform",
                keep_order=False,
                loss=IndependentLoss(model="independent", percent=5),
            ),
        ),
    )
)  # fmt: skip


def break_network(
    run: CanaryRun,
    target: str,
    peer: str,
    asked: Schedule = DEFAULT,
    given: Schedule | None = None,
    *,
    seed: int = 1,
    others_per_s: float = AUDIO_PER_S,
) -> None:
    """Plan `asked` on the link of `target` in the impaired phase, and let probes find `given`.

    Replaces what was planned before. `others_per_s` packets of no probe go through it, too.
    """
    phase = next(phase for phase in run.phases if phase.kind == "impaired")
    impairment = Impairment(
        profile="canary", target=target, device="data0", facing="network",
        selector=Selector(peers=("198.18.0.0/16",)), schedule=asked,
        from_s=phase.from_s, to_s=phase.to_s,
    )  # fmt: skip
    ends = {"from_host": (target, peer), "to_host": (peer, target)}
    first_s = max(0, int(phase.from_s) - CALM_S)
    streams = {way: _stream(target, way, first_s, run.duration_s) for way in DIRECTIONS}
    run.told = [e for e in run.told if not e["kind"].startswith(("impair.", "probe."))]
    for host, plan in run.plans.items():
        kept = [w for w in plan.workers if not w.kind.startswith(("impairment", "probe_"))]
        if host == target:
            kept.append(_worker("impairment", run, impairments=[impairment]))
        for at, kind in enumerate(("probe_sender", "probe_receiver")):
            own = [streams[way] for way in DIRECTIONS if ends[way][at] == host]
            kept += [_worker(kind, run, streams=own)] if own else []
        run.plans[host] = plan.model_copy(update={"workers": tuple(kept)})
    run.meta["clean"] = {target: []}
    head = {"device": impairment.device, "profile": impairment.profile}
    subject = f"impair/{target}"
    run.event(phase.from_s - 3.0, target, "impair.armed", subject, **head)
    run.event(phase.from_s + 0.02, target, "impair.applied", subject, **head)
    run.event(phase.to_s + 0.04, target, "impair.healed", subject, verified=True, **head)
    for direction in DIRECTIONS:
        numbers = range(first_s * 100, int(run.duration_s) * 100)
        fates = _fates(numbers, direction, impairment, given or asked, seed, others_per_s)
        _tell(run, streams[direction], ends[direction], fates)
        t = np.arange(phase.from_s + 1, phase.to_s + 0.5)
        packets = (100 + others_per_s) * (t - phase.from_s)
        run.put(target, f"{subject}/{direction}", "packets", t, packets)
        run.put(target, f"{subject}/{direction}", "drops", t, 0.0)


def _stream(target: str, direction: Direction, first_s: float, end_s: float) -> ProbeStream:
    somewhere = Endpoint(address="198.18.255.1", port=47000)
    return ProbeStream(
        name=f"{target}-{direction}", target=target, direction=direction, local=somewhere,
        remote=somewhere, from_s=first_s, to_s=end_s,
    )  # fmt: skip


def _worker(kind: str, run: CanaryRun, **spec: Sequence[Impairment | ProbeStream]) -> Worker:
    plain = {key: [item.model_dump(mode="json") for item in items] for key, items in spec.items()}
    return Worker(name=kind, kind=kind, from_s=0.0, to_s=run.duration_s, spec=plain)


def _fates(
    numbers: range,
    direction: Direction,
    impairment: Impairment,
    given: Schedule,
    seed: int,
    others_per_s: float,
) -> dict[int, float | None]:
    """The arrival (seconds) of every probe, one each 10 ms; None for those lost."""
    chance = random.Random(f"{seed}/{direction}")
    begin_s, end_s = impairment.from_s, impairment.to_s
    sent = [(at / 100, at) for at in numbers]
    through = [packet for packet in sent if begin_s <= packet[0] < end_s]
    others = round(others_per_s * (end_s - begin_s))
    through += [(chance.uniform(begin_s, end_s), -1) for _ in range(others)]
    arrivals: dict[int, float | None] = {at: at_s + BASE_MS / 1000 for at_s, at in sent}
    netems = {step.at_s: Netem(getattr(step, direction), chance) for step in given.steps}
    for at_s, probe in sorted(through):
        left = netems[_step(given, at_s - begin_s).at_s].send(at_s)
        if probe >= 0:
            arrivals[probe] = None if left is None else left + BASE_MS / 1000
    return arrivals


def _step(schedule: Schedule, at_s: float) -> Step:
    if schedule.repeat_s is not None:
        at_s %= schedule.repeat_s
    return [step for step in schedule.steps if step.at_s <= at_s][-1]


def _tell(
    run: CanaryRun,
    stream: ProbeStream,
    ends: tuple[str, str],
    arrivals: Mapping[int, float | None],
) -> None:
    sender, receiver = ends
    subject, clock_s = f"probe/{stream.name}", CLOCK_MS[stream.direction] / 1000
    late = _overtaken(arrivals)
    for second in range(min(arrivals) // 100, (max(arrivals) + 1) // 100):
        part = range(second * 100, second * 100 + 100)
        delays = [
            None if (came := arrivals[at]) is None else round((came - at / 100 + clock_s) * 1e6)
            for at in part
        ]
        run.event(
            second + 1.0, sender, "probe.sent", subject,
            second=second, first_seq=part.start, packets=100, late_max_us=150, errors=0,
        )  # fmt: skip
        run.event(
            second + 6.0, receiver, "probe.second", subject, second=second,
            first_seq=part.start, delays_us=delays, reordered=late[second], duplicates=0,
        )  # fmt: skip
    run.event(run.duration_s, receiver, "probe.end", subject, received=0, foreign=0, late=0)


def _overtaken(arrivals: Mapping[int, float | None]) -> dict[int, int]:
    """Packets per second of sending that come when a later one is there (RFC 4737)."""
    came = sorted((at_s, number) for number, at_s in arrivals.items() if at_s is not None)
    found: dict[int, int] = defaultdict(int)
    newest = -1
    for _, number in came:
        found[number // 100] += number < newest
        newest = max(newest, number)
    return found


class Netem:
    """One direction's netem: packets in, the time at which each leaves out."""

    def __init__(self, condition: Condition, chance: random.Random) -> None:
        self._it = condition
        self._chance = chance
        self._lost = _losses(condition, chance)
        self._last_s = 0.0
        self._since_reorder = 0

    def send(self, at_s: float) -> float | None:
        """When a packet that comes at `at_s` leaves; None when it is lost."""
        it, chance = self._it, self._chance
        if it.down or next(self._lost) or chance.random() < it.corrupt_percent / 100:
            return None
        free = it.reorder is not None and self._since_reorder >= it.reorder.gap - 1
        if it.reorder and free and chance.random() < it.reorder.percent / 100:
            self._since_reorder = 0
            return at_s
        self._since_reorder += 1
        left = at_s + max(0.0, _delay_ms(it, chance)) / 1000
        if it.keep_order:
            left = self._last_s = max(left, self._last_s)
        return left


def _delay_ms(it: Condition, chance: random.Random) -> float:
    if it.delay_quantiles_ms:
        place = chance.random() * (len(it.delay_quantiles_ms) - 1)
        low, high = it.delay_quantiles_ms[int(place) : int(place) + 2]
        return low + (high - low) * (place % 1)
    normal, tail = chance.gauss(0, 1), 4 / 3 * (chance.paretovariate(3) - 1.5)
    shapes = {
        "uniform": chance.uniform(-1, 1), "normal": normal, "pareto": min(tail, 4.0),
        "paretonormal": (normal + 3 * min(tail, 4.0)) / 4,
    }  # fmt: skip
    return it.delay_ms + it.jitter_ms * shapes[it.distribution]


def _losses(condition: Condition, chance: random.Random) -> Iterator[bool]:
    loss: Any = condition.loss
    state = 1
    while True:
        drawn = chance.random() * 100
        if loss is None:
            yield False
        elif isinstance(loss, IndependentLoss):
            yield drawn < loss.percent
        elif isinstance(loss, GilbertElliott):
            bad = state == 2
            yield chance.random() * 100 < (loss.bad_loss_percent if bad else loss.good_loss_percent)
            if drawn < (loss.to_good_percent if bad else loss.to_bad_percent):
                state = 1 if bad else 2
        elif isinstance(loss, FourState):
            state = _next_of_four(loss, state, drawn)
            yield state in (3, 4)


def _next_of_four(loss: FourState, state: int, drawn: float) -> int:
    exits = {
        1: ((loss.p14_percent, 4), (loss.p13_percent, 3)),
        2: ((loss.p23_percent, 3),),
        3: ((loss.p32_percent, 2), (loss.p31_percent, 1)),
        4: ((100.0, 1),),
    }
    for percent, following in exits[state]:
        if drawn < percent:
            return following
        drawn -= percent
    return state
