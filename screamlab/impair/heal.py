"""Heal devices, or everything of the lab's on this host, and prove that it is clean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from screamlab.impair import commands, deadman, heal_script, marks
from screamlab.impair.condition import Impairment
from screamlab.impair.device import INTERFACES
from screamlab.impair.qdisc import devices
from screamlab.impair.tc import ALIAS, PREFERENCE, ROOT


@dataclass
class Remains:
    """What of the lab's is on a host: sentences, and the devices they are about."""

    said: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    def add(self, device: str, sentence: str) -> None:
        """Note one thing."""
        self.names.add(device)
        self.said.append(sentence)


def device(name: str) -> str | None:
    """Heal one device and send its dead men home; what is wrong if it is not clean now.

    The dead men stay with a device that is not.
    """
    problem = heal_script.run(name)
    if problem is None:
        deadman.disarm(name)
    return problem


def host() -> list[str]:
    """Heal everything of the lab's on this host; what is left, one sentence each."""
    names = survey().names
    problems = [problem for name in sorted(names) if (problem := device(name))]
    left = survey().said if names else []
    return [*left, *(problems if left else [])]


def release(impairments: Iterable[Impairment]) -> list[str]:
    """Heal the devices of a plan after its agent ended, however it did; return what is wrong."""
    known = survey().names
    names = sorted({impairment.device for impairment in impairments} & known)
    return [problem for name in names if (problem := device(name))]


def survey() -> Remains:
    """Look for the lab's qdiscs, filters, ifb devices, marks and dead men."""
    remains = Remains()
    for name, qdiscs in devices(commands.output("tc", "-s", "-j", "qdisc", "show")).items():
        handles = {item["handle"] for item in qdiscs if item.get("root")}
        if ROOT in handles:
            remains.add(name, f"{name}: root qdisc {ROOT}")
        if _redirects(name, qdiscs):
            remains.add(name, f"{name}: ingress filters of preference {PREFERENCE}")
    for file in sorted(INTERFACES.glob("ifb*/ifalias")):
        alias = file.read_text().strip()
        if alias.startswith(ALIAS):
            name = alias.removeprefix(ALIAS)
            remains.add(name, f"{name}: ifb device {file.parent.name}")
    for name in marks.marked():
        remains.add(name, f"{name}: mark {marks.path(name)}")
    for name, watcher in deadman.watchers():
        remains.add(name, f"{name}: dead man {watcher}")
    return remains


def _redirects(name: str, qdiscs: Iterable[Mapping[str, Any]]) -> bool:
    if not any(item["kind"] in ("ingress", "clsact") for item in qdiscs):
        return False
    filters = commands.output("tc", "filter", "show", "dev", name, "ingress")
    return f" pref {PREFERENCE} " in filters
