"""From conditions to what the kernel must hold. Pure.

Order: jitter makes netem sort packets by the time they leave, whatever the child is. A packet
leaves no earlier than its predecessor where netem has a rate of its own (netem_enqueue() in
net/sched/sch_netem.c takes the last packet's time as the earliest), so order is kept by a rate so
high that it delays nothing. It also keeps order when a change makes the delay shorter.

tbf makes the rate, not netem: netem fixes when a packet leaves as it comes, so that a new rate
would hold only for those that come after the queue it finds.
"""

from __future__ import annotations

import ipaddress
import math
from typing import Literal

from screamlab.errors import BadInput
from screamlab.impair.condition import (
    Condition,
    Facing,
    FourState,
    GilbertElliott,
    IndependentLoss,
    Selector,
    Slot,
)
from screamlab.impair.table import REACH, Table, shape_quantiles, table
from screamlab.impair.tc import Direction, Half, Loss, Match, Netem, Network, Tbf

# Packets that may come in a second; netem's limit leaves room for as many while they are delayed.
PEAK_PACKETS_PER_S = 20_000
# The depth of a queue that nobody stated.
DEFAULT_QUEUE_MS = 100.0
# In bits per second: a packet of 1500 bytes takes 0.1 us.
ORDER_BIT = 100_000_000_000
# The rate of a queue that must be there but hold nothing up.
OPEN_BIT = 10_000_000_000
# tbf lets this much pass at once, never less than a frame: what late timers would lose otherwise.
BURST_S = 0.01
# A new rate begins with a full burst: where rates change often, bursts are this share of a step.
BURST_SHARE = 0.02
_FRAME_EXTRA = 64
# tabledist() takes the jitter as 32 bits of nanoseconds.
_MAX_JITTER_MS = 2100.0


def facing_direction(facing: Facing, of_host: Literal["from_host", "to_host"]) -> Direction:
    """Where on a device the packets from, or to, the impaired host go by."""
    return "egress" if (facing == "network") == (of_host == "from_host") else "ingress"


def matches(selector: Selector | None, facing: Facing, direction: Direction) -> tuple[Match, ...]:
    """The filters that take the selected packets, and with no selector all IPv4 packets."""
    side: Literal["src", "dst"]
    side = "dst" if (facing == "network") == (direction == "egress") else "src"
    if selector is None:
        return (Match(),)
    protocols: list[Literal["udp", "tcp"] | None] = [None]
    if selector.protocol != "any":
        protocols = [selector.protocol]
    elif selector.ports:
        protocols = ["udp", "tcp"]
    ports: list[tuple[int | None, int | None]] = [(None, None)]
    if selector.ports:
        ports = [(port, None) for port in selector.ports]
        ports += [(None, port) for port in selector.ports]
    found = [
        Match(_network(side, peer), protocol, *pair)
        for peer in selector.peers
        for protocol in protocols
        for pair in ports
    ]
    return tuple(dict.fromkeys(found))


def _network(side: Literal["src", "dst"], peer: str) -> Network | None:
    network = ipaddress.IPv4Network(peer)
    if network.prefixlen == 0:
        return None
    # As tc tells it.
    return Network(side, str(network.network_address if network.prefixlen == 32 else network))


def half(
    condition: Condition,
    matched: tuple[Match, ...],
    *,
    mtu: int = 1500,
    queue: bool = False,
    step_s: float = math.inf,
    packets_per_s: float | None = None,
) -> Half:
    """What a direction must hold to be as `condition` says.

    With `queue` there is a queue even where the condition has no rate, so that steps with and
    without one differ in numbers only; `step_s` is how long the shortest step lasts. With
    `packets_per_s`, how many packets are selected in a second, the delays of conditions that keep
    order are those asked after order was kept; without it, they are those asked before (see
    `screamlab.impair.table`). `BadInput` for what netem cannot do.
    """
    delay_ms, jitter_ms, delays = _delay(condition, packets_per_s)
    if condition.reorder and not delay_ms:
        raise BadInput("reorder lets packets overtake delayed ones: it needs a delay")
    if jitter_ms > _MAX_JITTER_MS:
        raise BadInput(f"netem's jitter ends at {_MAX_JITTER_MS:.0f} ms; {jitter_ms:g} ms is asked")
    tbf = _tbf(condition, mtu, step_s) if condition.rate_kbit or queue else None
    reorder = condition.reorder
    netem = Netem(
        limit=condition.limit_packets or _limit(condition, delay_ms + REACH * jitter_ms),
        delay_s=delay_ms / 1000,
        jitter_s=jitter_ms / 1000,
        delay_correlation=condition.delay_correlation_percent / 100,
        table=delays.name if delays else None,
        loss=Loss("random", (1.0,)) if condition.down else _loss(condition),
        duplicate=condition.duplicate_percent / 100,
        corrupt=condition.corrupt_percent / 100,
        reorder=reorder.percent / 100 if reorder else 0.0,
        reorder_correlation=reorder.correlation_percent / 100 if reorder else 0.0,
        gap=reorder.gap if reorder else 0,
        rate=ORDER_BIT / 8 if condition.keep_order else 0.0,
        slot=_slot(condition.slot),
        seed=condition.seed,
    )
    return Half(matched, netem, tbf, delays)


def _delay(condition: Condition, packets_per_s: float | None) -> tuple[float, float, Table | None]:
    """Delay and jitter in ms, and the table of what lies around them."""
    spacing = 1000 / packets_per_s if packets_per_s and condition.keep_order else None
    quantiles = condition.delay_quantiles_ms
    if quantiles:
        mean = sum(quantiles) / len(quantiles)
        # Wide enough for the table to reach both ends.
        jitter = max(quantiles[-1] - mean, mean - quantiles[0]) / REACH
        if not jitter:
            return mean, 0.0, None
        return mean, jitter, table("measured", quantiles, mean, jitter, spacing)
    delay, jitter = condition.delay_ms, condition.jitter_ms
    if not jitter:
        return delay, 0.0, None
    delay = max(delay, 0.001)  # tc takes no distribution without a delay
    around = [max(0.0, delay + jitter * at) for at in shape_quantiles(condition.distribution)]
    return delay, jitter, table(condition.distribution, around, delay, jitter, spacing)


def _limit(condition: Condition, longest_ms: float) -> int:
    held_ms = longest_ms + (condition.slot.max_ms if condition.slot else 0.0)
    if condition.rate_kbit:
        # netem counts its child's packets as its own.
        held_ms += condition.queue_ms or DEFAULT_QUEUE_MS
    return 1000 + math.ceil(PEAK_PACKETS_PER_S * held_ms / 1000)


def _tbf(condition: Condition, mtu: int, step_s: float) -> Tbf:
    rate = condition.rate_kbit * 125 if condition.rate_kbit else OPEN_BIT / 8
    frame = mtu + _FRAME_EXTRA
    queued = rate * (condition.queue_ms or DEFAULT_QUEUE_MS) / 1000
    burst = rate * min(BURST_S, BURST_SHARE * step_s)
    return Tbf(rate, max(frame, round(burst)), max(frame, round(queued)))


def _loss(condition: Condition) -> Loss | None:
    match condition.loss:
        case IndependentLoss() as one:
            return _independent(one.percent / 100, one.correlation_percent / 100)
        case GilbertElliott() as two:
            return Loss(
                "gemodel",
                _shares(
                    two.to_bad_percent,
                    two.to_good_percent,
                    two.bad_loss_percent,
                    two.good_loss_percent,
                ),
            )
        case FourState() as four:
            return Loss(
                "state",
                _shares(
                    four.p13_percent,
                    four.p31_percent,
                    four.p32_percent,
                    four.p23_percent,
                    four.p14_percent,
                ),
            )
    return None


def _independent(lost: float, correlation: float) -> Loss | None:
    if not lost:
        return None
    if correlation in (0.0, 1.0) or lost == 1.0:
        return Loss("random", (lost,))
    # netem's own correlation changes how much is lost; a chain of two states has both as asked.
    apart = 1 - correlation
    return Loss("gemodel", (lost * apart, (1 - lost) * apart, 1.0, 0.0))


def _shares(*percents: float) -> tuple[float, ...]:
    return tuple(percent / 100 for percent in percents)


def _slot(slot: Slot | None) -> tuple[float, float, int, int]:
    if slot is None:
        return (0.0, 0.0, 0, 0)
    return (slot.min_ms / 1000, slot.max_ms / 1000, slot.packets or 0, slot.bytes or 0)
