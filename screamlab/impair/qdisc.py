"""What tc(8) says about a device: its qdiscs and filters as they are, with their counters.

Reads the JSON of iproute2 6.1 (`tc -s -j qdisc show`, `tc -j filter show dev …`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isclose
from typing import Any, Literal

from screamlab.impair.tc import NETEM, PREFERENCE, ROOT, TBF, Loss, Match, Netem, Network, Tbf

_LOSSES: tuple[tuple[str, Literal["random", "gemodel", "state"], tuple[str, ...]], ...] = (
    ("loss-random", "random", ("loss", "correlation")),
    ("loss-gemodel", "gemodel", ("p", "r", "1-h", "1-k")),
    ("loss-state", "state", ("p13", "p31", "p32", "p23", "p14")),
)

_SIDES: tuple[Literal["src", "dst"], ...] = ("src", "dst")


@dataclass(frozen=True)
class Counters:
    """What went through since the qdiscs were made; the backlog is what waits now.

    Packets and bytes are those that left; drops are losses of netem and of the queue together.
    """

    packets: int = 0
    bytes: int = 0
    drops: int = 0
    overlimits: int = 0
    backlog_packets: int = 0


@dataclass(frozen=True)
class Filter:
    """A filter as the kernel has it; `match` is None when it is none of the lab's kind."""

    preference: int
    handle: int | None
    match: Match | None
    redirects_to: str | None = None
    classid: str | None = None


@dataclass(frozen=True)
class Seen:
    """One direction of one device as it is.

    `root` and `ingress` are handles, None where there is none; a root of the kernel's own making
    is ``0:``. `netem` and `tbf` are the lab's.
    """

    root: str | None = None
    ingress: str | None = None
    netem: Netem | None = None
    tbf: Tbf | None = None
    filters: tuple[Filter, ...] = ()
    counters: Counters = field(default_factory=Counters)


def seen(qdiscs: Sequence[Mapping[str, Any]], filters: Sequence[Mapping[str, Any]]) -> Seen:
    """The lab's view on the qdiscs of one device."""
    by_handle = {str(item.get("handle")): item for item in qdiscs}
    ours = [by_handle[handle] for handle in (NETEM, TBF) if handle in by_handle]
    netem = by_handle.get(NETEM)
    tbf = by_handle.get(TBF)
    return Seen(
        root=next((str(item["handle"]) for item in qdiscs if item.get("root")), None),
        ingress=next(
            (str(item["handle"]) for item in qdiscs if item["kind"] in ("ingress", "clsact")), None
        ),
        netem=_netem(netem["options"]) if netem and netem["kind"] == "netem" else None,
        tbf=_tbf(tbf["options"]) if tbf and tbf["kind"] == "tbf" else None,
        filters=tuple(_filter(item) for item in filters if "options" in item),
        counters=_counters(ours),
    )


def devices(text: str, only: str | None = None) -> dict[str, list[dict[str, Any]]]:
    """The qdiscs of every device in the output of ``tc -s -j qdisc show``.

    tc does not name the device when it was asked for that one `only`.
    """
    found: dict[str, list[dict[str, Any]]] = {only: []} if only else {}
    for item in json.loads(text or "[]"):
        found.setdefault(str(item.get("dev", only)), []).append(item)
    return found


def is_ours(qdiscs: Sequence[Mapping[str, Any]]) -> bool:
    """Whether any of a device's qdiscs has one of the lab's handles."""
    return any(item.get("handle") in (ROOT, NETEM, TBF) for item in qdiscs)


def same_netem(one: Netem, other: Netem) -> bool:
    """Whether two are the same but for what the kernel rounds: 64 ns, and shares to 32 bits."""
    counts = [(item.limit, item.gap, item.slot[2:]) for item in (one, other)]
    times = [(item.delay_s, item.jitter_s, *item.slot[:2]) for item in (one, other)]
    shares = [
        (i.delay_correlation, i.duplicate, i.corrupt, i.reorder, i.reorder_correlation)
        for i in (one, other)
    ]
    return (
        counts[0] == counts[1]
        and _close(times[0], times[1], 3e-6)
        and _close(shares[0], shares[1], 1e-6)
        and isclose(one.rate, other.rate, rel_tol=1e-3)
        and _same_loss(one.loss, other.loss)
    )


def same_tbf(one: Tbf | None, other: Tbf | None) -> bool:
    """Whether two are the same but for what the kernel rounds."""
    if one is None or other is None:
        return one is other
    return all(
        isclose(a, b, rel_tol=0.02)
        for a, b in ((one.rate, other.rate), (one.burst, other.burst), (one.limit, other.limit))
    )


def _same_loss(one: Loss | None, other: Loss | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.model == other.model and _close(_whole(one), _whole(other), 1e-6)


def _whole(loss: Loss) -> tuple[float, ...]:
    """All shares of a model; the correlation of random loss, which the lab never uses, is one."""
    return (*loss.shares, 0.0)[:2] if loss.model == "random" else loss.shares


def _close(some: Sequence[float], others: Sequence[float], apart: float) -> bool:
    pairs = zip(some, others, strict=True)
    return all(isclose(a, b, rel_tol=1e-3, abs_tol=apart) for a, b in pairs)


def _netem(options: Mapping[str, Any]) -> Netem:
    delay = options.get("delay", {})
    reorder = options.get("reorder", {}) if options.get("gap") else {}
    slot = options.get("slot", {})
    return Netem(
        limit=options["limit"],
        delay_s=delay.get("delay", 0.0),
        jitter_s=delay.get("jitter", 0.0),
        delay_correlation=delay.get("correlation", 0.0),
        loss=next(
            (
                Loss(model, tuple(options[key][share] for share in shares))
                for key, model, shares in _LOSSES
                if key in options
            ),
            None,
        ),
        duplicate=options.get("duplicate", {}).get("duplicate", 0.0),
        corrupt=options.get("corrupt", {}).get("corrupt", 0.0),
        reorder=reorder.get("reorder", 0.0),
        reorder_correlation=reorder.get("correlation", 0.0),
        gap=options.get("gap", 0),
        rate=float(options.get("rate", {}).get("rate", 0.0)),
        slot=(
            slot.get("min-delay", 0.0),
            slot.get("max-delay", 0.0),
            slot.get("packets", 0),
            slot.get("bytes", 0),
        ),
        seed=options.get("seed"),
    )


def _tbf(options: Mapping[str, Any]) -> Tbf:
    rate, burst = float(options["rate"]), int(options["burst"])
    # tc tells the limit, or for how long (us) a packet that finds no token waits at most.
    limit = options.get("limit", rate * options.get("lat", 0) / 1e6 + burst)
    return Tbf(rate, burst, round(limit))


def _filter(item: Mapping[str, Any]) -> Filter:
    options = item["options"]
    actions = options.get("actions", [])
    return Filter(
        preference=item["pref"],
        handle=options.get("handle"),
        match=_match(options.get("keys", {})) if item["pref"] == PREFERENCE else None,
        redirects_to=next((a["to_dev"] for a in actions if a.get("kind") == "mirred"), None),
        classid=options.get("classid"),
    )


def _match(keys: Mapping[str, Any]) -> Match:
    networks = [Network(side, keys[f"{side}_ip"]) for side in _SIDES if f"{side}_ip" in keys]
    return Match(
        network=networks[0] if networks else None,
        protocol=keys.get("ip_proto"),
        source_port=keys.get("src_port"),
        destination_port=keys.get("dst_port"),
    )


def _counters(ours: Sequence[Mapping[str, Any]]) -> Counters:
    if not ours or "packets" not in ours[0]:
        return Counters()
    netem = ours[0]
    return Counters(
        packets=netem["packets"],
        bytes=netem["bytes"],
        drops=netem["drops"],
        overlimits=sum(item["overlimits"] for item in ours),
        backlog_packets=netem["qlen"],
    )
