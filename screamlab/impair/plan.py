"""What has to be done to a device for it to be as wanted. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from screamlab.impair.commands import Command, ip, tc
from screamlab.impair.device import Device, Wanted
from screamlab.impair.qdisc import Seen, same_netem, same_tbf
from screamlab.impair.tc import (
    ALIAS,
    BAND,
    NETEM,
    PREFERENCE,
    ROOT,
    TBF,
    Direction,
    Half,
    Match,
    ifb_of,
    netem_words,
    tbf_words,
)

_IN_BAND, _AT_ROOT = ("parent", BAND), ("root",)
_TO_FIRST_BAND = ("prio", "bands", "3", "priomap", *["0"] * 16)


def plan(device: Device, wanted: Wanted, tables: Mapping[str, str]) -> list[Command]:
    """The commands that bring about what is wanted; none when it is there.

    `tables` names the delay distribution each direction has been given. What is there and differs
    in numbers only is changed in place, so that no packet is lost. Filters come last: packets are
    not touched before everything else is there.
    """
    todo: list[Command] = []
    for direction, half in wanted.items():
        if half is None:
            todo += _removal(device, direction)
            continue
        if direction == "egress":
            todo += _tree_of_egress(device, half, tables.get(direction))
        else:
            todo += _tree_of_ingress(device, half, tables.get(direction))
        todo += _filter_commands(device, direction, half.matches)
    return todo


def _tree_of_egress(device: Device, half: Half, table: str | None) -> list[Command]:
    root = []
    if device.egress.root != ROOT:
        root = [tc("qdisc", "add", "dev", device.name, "root", "handle", ROOT, *_TO_FIRST_BAND)]
    return root + _netem_and_tbf(device.name, _IN_BAND, half, device.egress, table)


def _tree_of_ingress(device: Device, half: Half, table: str | None) -> list[Command]:
    ifb, todo = device.ifb, []
    if device.ifb_alias is None:
        todo += [
            ip("link", "add", ifb, "type", "ifb"),
            ip("link", "set", ifb, "alias", ALIAS + device.name, "up"),
        ]
    todo += _netem_and_tbf(ifb, _AT_ROOT, half, device.ingress, table)
    if not device.ingress.ingress:
        todo += [tc("qdisc", "add", "dev", device.name, "ingress")]
    return todo


def change(name: str, direction: Direction, before: Half, after: Half) -> list[Command]:
    """The commands that turn a direction of device `name` from one half into another, in place.

    Both have a queue, or none has; their filters are the same.
    """
    interface, place = (name, _IN_BAND) if direction == "egress" else (ifb_of(name), _AT_ROOT)
    now = Seen(netem=before.netem, tbf=before.tbf)
    return _netem_and_tbf(interface, place, after, now, before.netem.table)


def _netem_and_tbf(
    name: str, place: tuple[str, ...], half: Half, now: Seen, table: str | None
) -> list[Command]:
    """The commands that make netem and tbf on the interface `name` those of `half`."""
    todo = []
    at = ("dev", name, *place, "handle", NETEM, "netem")
    if now.netem is None:
        todo += [tc("qdisc", "add", *at, *netem_words(half.netem))]
    elif not same_netem(half.netem, now.netem) or (half.netem.table and half.netem.table != table):
        before = replace(now.netem, table=table)
        todo += [tc("qdisc", "change", *at, *netem_words(half.netem, before))]
    at = ("dev", name, "parent", f"{NETEM}1", "handle", TBF)
    if half.tbf is None:
        return todo + ([tc("qdisc", "del", *at)] if now.tbf else [])
    if not same_tbf(half.tbf, now.tbf):
        verb = "change" if now.tbf else "add"
        todo += [tc("qdisc", verb, *at, "tbf", *tbf_words(half.tbf))]
    return todo


def _filter_commands(
    device: Device, direction: Direction, matches: Iterable[Match]
) -> list[Command]:
    """Filters that are missing, then the lab's that nobody wants."""
    egress = direction == "egress"
    place = ("dev", device.name, *(("parent", ROOT) if egress else ("ingress",)))
    at = (*place, "protocol", "ip", "pref", str(PREFERENCE))
    redirect = ("action", "mirred", "egress", "redirect", "dev", device.ifb)
    target = ("classid", BAND) if egress else redirect
    present = [i for i in device.seen(direction).filters if i.preference == PREFERENCE]
    wanted = dict.fromkeys(matches)
    right = [
        item
        for item in present
        if item.match in wanted
        and (item.classid == BAND if egress else item.redirects_to == device.ifb)
    ]
    there = {item.match for item in right}
    keys = [match.words() for match in wanted if match not in there]
    surplus = [item for item in present if item not in right]
    return [
        *(tc("filter", "del", *at, "handle", str(item.handle), "flower") for item in surplus),
        *(tc("filter", "add", *at, "flower", *words, *target) for words in keys),
    ]


def _removal(device: Device, direction: Direction) -> list[Command]:
    now = device.seen(direction)
    if direction == "egress":
        ours = now.root == ROOT
        return [tc("qdisc", "del", "dev", device.name, "root", "handle", ROOT)] if ours else []
    todo = []
    filters = [item for item in now.filters if item.preference == PREFERENCE]
    if filters and len(filters) < len(now.filters):
        at = ("dev", device.name, "ingress", "protocol", "ip", "pref", str(PREFERENCE))
        todo += [tc("filter", "del", *at)]
    elif now.ingress and (filters or device.has_ifb):
        todo += [tc("qdisc", "del", "dev", device.name, "ingress")]
    return todo + ([ip("link", "del", device.ifb)] if device.has_ifb else [])
