"""A made-up run, healthy until told otherwise: by it every check is proved to detect.

Two client hosts send one RTP and one Scream stream through the router to each other, after a null
path; after the hold the link of one of them is impaired for a while. `CanaryRun` holds the evidence
in memory and can be read like a bundle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from screamlab.evidence import subjects
from screamlab.evidence.bundle import Series
from screamlab.evidence.journal import Entry
from screamlab.evidence.timeline import Line, journal_line
from screamlab.judge.canary_network import break_network
from screamlab.scenario.plan import (
    Endpoint,
    Heard,
    Phase,
    PhaseKind,
    Plan,
    ReceiverStream,
    SenderStream,
    Worker,
)

Values = NDArray[np.float64]
ZERO = 1_750_000_000.0
ROUTER, CLIENTS = "router1", ("client1", "client2")
HOSTS = (ROUTER, *CLIENTS)
TAIL_S = 2.0
UNIT = "screamrouter.service"


class CanaryRun:
    """Evidence of a run with `pairs` streams of each protocol and `hold_s` seconds of hold."""

    def __init__(
        self,
        checks: Sequence[Mapping[str, Any]] = (),
        *,
        hold_s: float = 40.0,
        pairs: int = 1,
        path: Path = Path("/nonexistent"),
    ) -> None:
        self.path = path
        self.phases = _phases(hold_s)
        self.duration_s = self.phases[-1].to_s
        self.zero = ZERO
        self.meta: dict[str, Any] = {
            "run_id": "canary", "scenario": "canary", "scale": "quick", "seed": 1, "zero": ZERO,
            "phases": [phase.model_dump() for phase in self.phases],
            "router": {"version": "0.3.75", "method": "wheel"},
            "checks": [dict(check) for check in checks],
        }  # fmt: skip
        self.plans = _plans(self.phases, pairs)
        self.facts: dict[str, Any] = {host: {"kernel": {"started_at": 1}} for host in HOSTS}
        self.missing_reasons: dict[str, str] = {}
        self.told: list[dict[str, Any]] = []
        self.data: dict[tuple[str, str, str], tuple[Values, Values]] = {}
        self.logged: list[Entry] = []
        self.heard: list[Line] = []
        self.deaf: set[str] = set()
        self.log(1.0, "engine is up")
        for fill in (_fill_hosts, _fill_router, _fill_streams):
            fill(self)
        break_network(self, CLIENTS[0], CLIENTS[1])

    def event(self, at_s: float, host: str, kind: str, subject: str, **fields: Any) -> None:
        """Tell that something happened `at_s` seconds after the start."""
        head = {"t": ZERO + at_s, "host": host, "kind": kind, "subject": subject}
        self.told.append({**head, **fields})

    def log(self, at_s: float, message: str, priority: int = 6, *, unit: str = UNIT) -> None:
        """Let the router's unit, or another one on its host, log a line."""
        fields = {"MESSAGE": message, "PRIORITY": str(priority), "_SYSTEMD_UNIT": unit}
        self.logged.append(Entry(ZERO + at_s, fields))

    def hear(self, at_s: float, message: str, host: str = "machine") -> None:
        """Let the kernel say something, as heard on `host`."""
        self.heard.append(Line(ZERO + at_s, host, "kernel", "kernel", 6, message))

    def put(self, host: str, subject: str, metric: str, t: Values, value: Any) -> None:
        """Set a whole series; `value` may be one number for all of it."""
        self.data[host, subject, metric] = (t, np.broadcast_to(value, t.shape).astype(float))

    def change(self, subject: str, metric: str, by: Callable[[Values, Values], Any]) -> None:
        """Replace the values of matching series by ``by(t, value)``, t in seconds after start."""
        changed = [key for key in self.data if fnmatchcase(key[1], subject) and key[2] == metric]
        if not changed:
            raise KeyError(f"no series {subject} {metric}")
        for key in changed:
            t, value = self.data[key]
            self.data[key] = (t, np.broadcast_to(by(t, value), t.shape).astype(float))

    def cut(self, subject: str, metric: str, keep: Callable[[Values], Any]) -> None:
        """Keep only the samples of matching series for whose times `keep(t)` holds."""
        for key, (t, value) in list(self.data.items()):
            if fnmatchcase(key[1], subject) and fnmatchcase(key[2], metric):
                mask = np.broadcast_to(keep(t), t.shape)
                self.data[key] = (t[mask], value[mask])

    def events(self, kind: str = "", subject: str = "*") -> list[dict[str, Any]]:
        """See `Bundle.events`."""
        return [
            event
            for event in sorted(self.told, key=lambda event: float(event["t"]))
            if event["kind"].startswith(kind) and fnmatchcase(event["subject"], subject)
        ]

    def series(self, subject: str, metric: str) -> dict[tuple[str, str], Series]:
        """See `Bundle.series`."""
        return {
            (host, name): Series(ZERO + t, value)
            for (host, name, one), (t, value) in self.data.items()
            if one == metric and len(t) and fnmatchcase(name, subject)
        }

    def newest(self, subject: str) -> dict[tuple[str, str], float]:
        """See `Bundle.newest`."""
        return {
            (name, metric): float(value[-1])
            for (_, name, metric), (_, value) in self.data.items()
            if len(value) and fnmatchcase(name, subject)
        }

    def journal(self, host: str, unit: str | None = None) -> list[Entry]:
        """See `Bundle.journal`."""
        return [e for e in self.logged if host == ROUTER and (unit is None or e.unit == unit)]

    def timeline(self) -> list[Line]:
        """See `Bundle.timeline`."""
        logged = (journal_line(ROUTER, entry) for entry in self.logged)
        return sorted([*logged, *self.heard], key=lambda line: line.t)

    def has_journal(self, host: str) -> bool:
        """See `Bundle.has_journal`."""
        return host == ROUTER

    def hears_kernel(self, host: str) -> bool:
        """See `Bundle.hears_kernel`."""
        return host not in self.deaf


def _phases(hold_s: float) -> tuple[Phase, ...]:
    kinds: tuple[tuple[PhaseKind, float], ...] = (
        ("null_path", 10.0), ("settle", 6.0), ("ramp", 4.0), ("hold", hold_s),
        ("impaired", 24.0), ("recover", 16.0), ("drain", 12.0),
    )  # fmt: skip
    found, at = [], 0.0
    for kind, length_s in kinds:
        found.append(Phase(name=kind.replace("_", "-"), kind=kind, from_s=at, to_s=at + length_s))
        at += length_s
    return tuple(found)


def _plans(phases: tuple[Phase, ...], pairs: int) -> dict[str, Plan]:
    end = phases[-1].to_s
    workers: dict[str, list[Worker]] = {host: [_sampler(host, end)] for host in HOSTS}
    for number in range(1, pairs + 1):
        for turn, protocol in enumerate(("rtp", "scream")):
            sender_host, receiver_host = CLIENTS[turn], CLIENTS[1 - turn]
            for null in (True, False):
                sender, receiver = _pair(phases, protocol, number, null)
                for host, kind, stream in (
                    (sender_host, "native_sender", sender),
                    (receiver_host, "native_receiver", receiver),
                ):
                    spec = {"streams": [stream.model_dump()]}
                    name = f"{kind}-{stream.name}"
                    workers[host].append(
                        Worker(name=name, kind=kind, from_s=0.0, to_s=end, spec=spec)
                    )
    return {
        host: Plan(
            run_id="canary", host=host, scenario="canary", scale="quick", seed=1, duration_s=end,
            phases=phases, workers=tuple(workers[host]),
        )
        for host in HOSTS
    }  # fmt: skip


def _sampler(host: str, end: float) -> Worker:
    name, unit = ("router", UNIT) if host == ROUTER else ("agent", "a.service")
    spec = {"processes": [{"name": name, "unit": unit}], "interval_s": 1.0}
    return Worker(name="sampler", kind="sampler", from_s=0.0, to_s=end, spec=spec)


def _pair(
    phases: tuple[Phase, ...], protocol: str, number: int, null: bool
) -> tuple[SenderStream, ReceiverStream]:
    by_kind = {phase.kind: phase for phase in phases}
    begin = by_kind["null_path"].from_s if null else by_kind["ramp"].from_s + 1.0
    end = by_kind["null_path"].to_s if null else by_kind["recover"].to_s + TAIL_S
    name = f"{protocol}-in-{number:02d}"
    sender = SenderStream.model_validate(
        {"name": f"null/{name}" if null else name, "protocol": protocol, "signal": number,
         "local": _SOMEWHERE, "remote": _SOMEWHERE, "from_s": begin, "to_s": end}
    )  # fmt: skip
    receiver = ReceiverStream.model_validate(
        {"name": sender.name if null else f"{protocol}-out-{number:02d}", "protocol": protocol,
         "local": _SOMEWHERE, "hears": (Heard(sender=sender.name, signal=number),),
         "from_s": begin, "to_s": end - TAIL_S}
    )  # fmt: skip
    return sender, receiver


_SOMEWHERE = Endpoint(address="198.18.255.1", port=4010)


def _fill_hosts(run: CanaryRun) -> None:
    t = np.arange(1.0, run.duration_s + 1)
    for host in HOSTS:
        run.put(host, "host", "cpu_percent", t, 20 + 5 * np.sin(t / 9))
        run.put(host, "host", "udp_rcvbuf_errors", t, 3.0)
        run.event(-1.0, host, "agent.start", "agent")
        run.event(run.duration_s + 0.5, host, "agent.end", "agent")
        for name in ("agent", "router") if host == ROUTER else ("agent",):
            run.event(-3.0, host, "core.canary", f"process/{name}", ok=True, reason="")
            looks = int(run.duration_s)
            run.event(run.duration_s, host, "core.watched", f"process/{name}", looks=looks, found=0)


def _fill_router(run: CanaryRun) -> None:
    t = np.arange(1.0, run.duration_s + 1)
    by_kind = {phase.kind: phase for phase in run.phases}
    end_s = by_kind["recover"].to_s + TAIL_S
    loaded = ((t >= by_kind["hold"].from_s) & (t < end_s)).astype(float)
    figures = {
        "processes": 1.0, "restarts": 0.0, "cpu_percent": 4 + 30 * loaded + np.sin(t),
        "rss_bytes": 1.1e8 + 2e7 * loaded, "threads": 29 + 8 * loaded,
        "descriptors": 65 + 12 * loaded,
    }  # fmt: skip
    for metric, value in figures.items():
        run.put(ROUTER, subjects.ROUTER, metric, t, value)
    for number in (0, 1):
        run.put(ROUTER, f"processor/{number}", "wakeup_late_max_ms", t, 0.3)
    run.put(ROUTER, "router", "api_ok", t, 1.0)
    told = {"outcome": "ended", "seconds": 8.0, "files": []}
    run.event(run.duration_s + 9, ROUTER, "router.stopped", "router", **told)
    run.put(ROUTER, "router", "api_latency_ms", t, 8 + 2 * np.cos(t))
    run.put(ROUTER, "sip/registrar", "contacts", t, 0.0)


def _fill_streams(run: CanaryRun) -> None:
    hosts: dict[str, str] = {}
    for host, plan in run.plans.items():
        for worker in plan.workers:
            for spec in worker.spec.get("streams", ()):
                hosts[f"{worker.kind}/{spec['name']}"] = host
                fill = _fill_sender if worker.kind == "native_sender" else _fill_receiver
                fill(run, host, spec)


def _fill_sender(run: CanaryRun, host: str, spec: Mapping[str, Any]) -> None:
    t = np.arange(spec["from_s"] + 1, spec["to_s"])
    subject = f"sender/{spec['name']}"
    run.put(host, subject, "packets", t, 167.0 * (t - spec["from_s"]))
    run.put(host, subject, "pacing_p99_ms", t, 0.4)


def _fill_receiver(run: CanaryRun, host: str, spec: Mapping[str, Any]) -> None:
    t = np.arange(spec["from_s"] + 1, spec["to_s"] + 0.5)
    subject = f"receiver/{spec['name']}"
    run.put(host, subject, "packets", t, 167.0 * (t - spec["from_s"]))
    if spec["protocol"] == "rtp":
        for metric in ("lost", "duplicate", "reordered"):
            run.put(host, subject, metric, t, 0.0)
    null = spec["name"].startswith("null/")
    for heard in spec["hears"]:
        stream = f"stream/{spec['name']}/{heard['sender']}"
        figures = {"heard": 1.0, "level_db": -6.0, "latency_ms": 101.0 if null else 160.0,
                   "drift_ppm": 0.5, "dropouts": 0.0, "dropout_ms": 0.0}  # fmt: skip
        for metric, value in figures.items():
            run.put(host, stream, metric, t, value)
        run.event(spec["from_s"] + 0.3, host, "stream.heard", stream, after_s=0.3)
