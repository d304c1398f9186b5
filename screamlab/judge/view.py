"""The run as checks see it: phases, streams and hosts with their series on the plan's clock."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache
from itertools import islice, takewhile
from typing import Any

from screamlab.evidence.journal import Entry
from screamlab.evidence.kernel_log import CONTAINER
from screamlab.evidence.spool import read_lines
from screamlab.evidence.subjects import ROUTER
from screamlab.judge.evidence import Evidence
from screamlab.judge.faults import Fault
from screamlab.judge.model import RouterId
from screamlab.judge.samples import NOTHING, Event, Samples
from screamlab.judge.streams import Placed, Stream, paired, placed
from screamlab.judge.watched import units
from screamlab.judge.windows import Window, Windows, intersect, merge
from screamlab.scenario.plan import Phase, Plan, ReceiverStream, SenderStream


class Run:
    """A run folder's evidence, read once and kept by metric.

    `faults` is what the lab did to itself; it is filled in before the first check is asked.
    """

    faults: tuple[Fault, ...] = ()

    def __init__(self, bundle: Evidence) -> None:
        self.bundle = bundle
        self.meta: dict[str, Any] = bundle.meta
        self.zero = bundle.zero
        self.plans: dict[str, Plan] = dict(bundle.plans)
        self.phases = tuple(Phase.model_validate(phase) for phase in self.meta.get("phases", ()))
        self._family = lru_cache(maxsize=32)(self._load_family)

    @cached_property
    def duration_s(self) -> float:
        ends = [plan.duration_s for plan in self.plans.values()]
        return max([*ends, *(phase.to_s for phase in self.phases)], default=0.0)

    def phase(self, *kinds: str) -> Windows:
        """The time of all phases of these kinds."""
        return merge(Window(p.from_s, p.to_s) for p in self.phases if p.kind in kinds)

    def when(self, at_s: float) -> str:
        """A moment as a reader finds it again in the report."""
        name = next((p.name for p in self.phases if p.from_s <= at_s < p.to_s), None)
        return f"{at_s:.1f} s ({name})" if name else f"{at_s:.1f} s"

    @cached_property
    def senders(self) -> tuple[Placed, ...]:
        return placed(self.plans, "sender", SenderStream)

    @cached_property
    def receivers(self) -> tuple[Placed, ...]:
        return placed(self.plans, "receiver", ReceiverStream)

    @cached_property
    def streams(self) -> tuple[Stream, ...]:
        """Every receiver with every sender it must hear, null path included."""
        return paired(self.senders, self.receivers)

    @cached_property
    def routed(self) -> tuple[Stream, ...]:
        """The streams that go through the router."""
        return tuple(stream for stream in self.streams if not stream.null)

    @property
    def router_host(self) -> str | None:
        """The host whose plan watches the process named ``router``."""
        return self._watched_router[0]

    @property
    def router_unit(self) -> str | None:
        """The unit of that process."""
        return self._watched_router[1]

    @cached_property
    def _watched_router(self) -> tuple[str | None, str | None]:
        for host, plan in self.plans.items():
            if ROUTER in (watched := units(plan)):
                return host, watched[ROUTER]
        return None, None

    @cached_property
    def router(self) -> RouterId:
        """Which router ran."""
        told = self.meta.get("router") or {}
        engine = told.get("engine") or {}
        built = engine.get("build") or {}
        return RouterId(
            version=told.get("version"),
            method=told.get("method"),
            build_id=engine.get("build_id"),
            commit=built.get("commit"),
            flags=built.get("flags") or (),
        )

    @property
    def slowdown(self) -> float:
        """How many times slower a tool made the router, 1 where it ran plain."""
        return float(self.meta.get("slowdown") or 1.0)

    @cached_property
    def infra(self) -> str | None:
        """Why the run could not be carried out, when whoever ran it said so."""
        path = self.bundle.path / "infra.json"
        try:
            told = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError:
            return "infra.json is there but not readable"
        return str(told.get("reason") if isinstance(told, dict) else told)

    def share_kernel(self, hosts: Iterable[str]) -> bool:
        """Whether hosts run on one kernel: the same one, of one machine, from one boot."""
        told = [_kernel(self.bundle.facts.get(host, {})) for host in hosts]
        return bool(told) and all(one == told[0] and one[0].get("started_at") for one in told)

    def carriers(self, stream: Stream) -> frozenset[str]:
        """The hosts whose faults can be heard on a stream: its ends, the router's, the middle."""
        return stream.hosts | self.middle | ({self.router_host} if self.router_host else set())

    @cached_property
    def beside_router(self) -> frozenset[str]:
        """The router's host and those on the same kernel: what holds one up holds up the others."""
        router = self.router_host
        return frozenset(
            host
            for host in self.plans
            if router and (host == router or self.share_kernel((host, router)))
        )

    @cached_property
    def middle(self) -> frozenset[str]:
        """The hosts that lie on the links of others: impairment points in the network."""
        return frozenset(
            host
            for host, plan in self.plans.items()
            if any(impairment.target != host for impairment in plan.impairments)
        )

    def hold(self, stream: Stream) -> Windows:
        """The part of the hold phases in which both ends of `stream` are up."""
        return intersect(self.phase("hold"), (stream.up,))

    def first_heard_s(self, stream: Stream) -> float | None:
        """When the receiver first heard the sender; None for never."""
        heard = self.series(stream.subject, "heard", stream.receiver.host)
        times = [event.at_s for event in self.events("stream.heard", stream.subject)]
        times += [float(t) for t in heard.t[heard.value > 0][:1]]
        return min(times, default=None)

    def series(self, subject: str, metric: str, host: str | None = None) -> Samples:
        """One metric of one subject; empty when there is none of it."""
        family, _, _ = subject.partition("/")
        found = self._family(family, metric)
        if host is not None:
            return found.get((host, subject), NOTHING)
        return next((s for (_, name), s in found.items() if name == subject), NOTHING)

    def family(self, family: str, metric: str) -> dict[tuple[str, str], Samples]:
        """One metric of ``family`` and all of ``family/…``, by host and subject."""
        return self._family(family, metric)

    def events(self, kind: str, subject: str = "*") -> list[Event]:
        """Events of `kind` (all below it when it ends in a dot) on subjects like `subject`."""
        kinds = [k for k in self._by_kind if k.startswith(kind)] if kind.endswith(".") else [kind]
        if _GLOB.search(subject):
            found = [event for k in kinds for event in self._by_kind.get(k, ())]
            if subject != "*":
                found = [event for event in found if fnmatchcase(event.subject, subject)]
        else:
            found = [event for k in kinds for event in self._by_subject.get((k, subject), ())]
        return sorted(found, key=lambda event: event.at_s) if len(kinds) > 1 else found

    def between(self, from_s: float, to_s: float) -> list[Event]:
        """All that happened from `from_s` up to and at `to_s`, in order."""
        found: list[Event] = []
        for events in self._by_kind.values():
            first = bisect_left(events, from_s, key=lambda event: event.at_s)
            near = islice(events, first, None)
            found += takewhile(lambda event: event.at_s <= to_s, near)
        return sorted(found, key=lambda event: event.at_s)

    def journal(self, unit: str) -> Iterator[Entry]:
        """What a unit of the router's host logged while the plan ran, as far as it came home."""
        end = self.zero + self.duration_s
        for entry in self.bundle.journal(self.router_host, unit) if self.router_host else ():
            if self.zero <= entry.t <= end:
                yield entry

    @cached_property
    def starts(self) -> list[dict[str, Any]]:
        """How the router was brought up for this run: lost starts, and the one that ran last.

        The host's record (`screamlab.router.readiness`) also holds starts of earlier runs; those
        end at the last start before that was ready.
        """
        lines: list[dict[str, Any]] = []
        for path in self.bundle.path.glob(f"hosts/{self.router_host}/**/starts.jsonl"):
            lines += read_lines(path).records
        lines = sorted((x for x in lines if x["t"] < self.zero), key=lambda line: line["t"])
        ready = [at for at, line in enumerate(lines[:-1]) if line.get("outcome") == "ready"]
        return lines[ready[-1] + 1 :] if ready else lines

    @cached_property
    def _by_kind(self) -> dict[str, list[Event]]:
        by_kind = defaultdict(list)
        for told in self.bundle.events():
            fields = {key: value for key, value in told.items() if key not in _EVENT_HEAD}
            at_s = float(told["t"]) - self.zero
            by_kind[told["kind"]].append(
                Event(at_s, told["host"], told["kind"], told["subject"], fields)
            )
        for events in by_kind.values():
            events.sort(key=lambda event: event.at_s)
        return dict(by_kind)

    @cached_property
    def _by_subject(self) -> dict[tuple[str, str], list[Event]]:
        """What is asked for each of many streams is looked up, not looked for."""
        by_subject = defaultdict(list)
        for kind, events in self._by_kind.items():
            for event in events:
                by_subject[kind, event.subject].append(event)
        return dict(by_subject)

    def _load_family(self, family: str, metric: str) -> dict[tuple[str, str], Samples]:
        return {
            key: Samples(t - self.zero, value)
            for glob in (family, f"{family}/*")
            for key, (t, value) in self.bundle.series(glob, metric).items()
        }


_GLOB = re.compile(r"[*?[]")
_EVENT_HEAD = frozenset({"t", "host", "kind", "subject"})


def _kernel(facts: Mapping[str, Any]) -> tuple[dict[str, Any], Any, Any]:
    """What is the same on hosts on one kernel; machines made alike may boot in one second."""
    # A container makes up a boot id of its own.
    boot = None if facts.get("virtualization") == CONTAINER else facts.get("boot_id")
    return facts.get("kernel") or {}, facts.get("memory_bytes"), boot
