"""Bench: how many streams one core can send on time, the native sender beside gst-launch.

Both send the same thing, RTP L16 in 6 ms packets, from one core to the same sockets on loopback,
and are timed in the same way: by the kernel's receive times against each stream's own grid.
"""

from __future__ import annotations

import math
import os
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil

from screamlab.agent.workers import command
from screamlab.load import wire
from screamlab.load.gst_pipeline import LAUNCHER
from screamlab.load.native_receiver import SO_TIMESTAMPNS, TIMESPEC
from screamlab.scenario.plan import Endpoint, Plan, SenderStream, Worker
from screamlab.signal.tones import signal_count

GOAL_MS = 1.0
"""The pacing error that 99 % of the packets of a second must keep, in the median second."""

INTERVAL_S = 0.006
_SETTLE_S = 0.5
_SECONDS = 3
_READY_S = 15.0
_FULL_CORE = 0.95
_ATTEMPTS = 3
_NATIVE_SHARE = 0.6


@dataclass(frozen=True)
class Load:
    """One measured load: `cpu` is the part of one core all sender processes took together."""

    client: str
    streams: int
    cpu: float
    pacing_p99_ms: float
    packets: int

    @property
    def cpu_per_stream(self) -> float:
        """The part of one core that one stream took."""
        return self.cpu / self.streams

    @property
    def on_time(self) -> bool:
        """Whether the pacing goal was kept with every packet sent."""
        wanted = self.streams * _SECONDS / INTERVAL_S
        return self.pacing_p99_ms <= GOAL_MS and self.packets >= 0.99 * wanted


@dataclass(frozen=True)
class Bench:
    """The outcome: every load measured, and what follows for one core."""

    loads: tuple[Load, ...]
    native_streams_per_core: float
    gst_streams_per_core: float

    @property
    def ratio(self) -> float | None:
        """Native over gst-launch streams per core; None when gst-launch was on time at no load."""
        if not self.gst_streams_per_core:
            return None
        return self.native_streams_per_core / self.gst_streams_per_core

    @property
    def cpu_ratio(self) -> float:
        """CPU of gst-launch over that of the native sender at their largest common load."""
        by_streams: dict[int, dict[str, float]] = {}
        for load in self.loads:
            by_streams.setdefault(load.streams, {})[load.client] = load.cpu
        common = max(streams for streams, both in by_streams.items() if len(both) == 2)
        return by_streams[common]["gst-launch"] / by_streams[common]["native"]


def measure(
    *,
    native: Sequence[int] = (10, 20, 80, 160, 240),
    gst: Sequence[int] = (10, 20, 40),
    budget_s: float = 60.0,
) -> Bench:
    """Measure the given stream counts in rising order until the pacing goal is missed.

    A missed goal is tried again, best of three: the machine's other work may have been what was
    late. Streams per core is the largest load on time divided by its CPU share, at most doubled:
    an extrapolation further than that would be a guess. Root is needed for real-time priority.
    """
    begun = time.monotonic()
    loads = _climb("native", native, _start_native, begun + budget_s * _NATIVE_SHARE)
    loads += _climb("gst-launch", gst, _start_gst, begun + budget_s)
    return Bench(
        tuple(loads),
        _per_core([load for load in loads if load.client == "native"]),
        _per_core([load for load in loads if load.client == "gst-launch"]),
    )


def _per_core(loads: Sequence[Load]) -> float:
    kept = [load for load in loads if load.on_time]
    if not kept:
        return 0.0
    best = max(kept, key=lambda load: load.streams)
    return best.streams * min(2.0, max(1.0, _FULL_CORE / best.cpu))


Target = tuple[str, int]
Starter = Callable[[Sequence[Target], Path], list["subprocess.Popen[bytes]"]]


def _climb(client: str, counts: Sequence[int], start: Starter, give_up: float) -> list[Load]:
    loads: list[Load] = []
    for count in counts:
        if loads and (not loads[-1].on_time or time.monotonic() > give_up):
            break
        loads.append(_measure_one(client, count, start))
        for _ in range(_ATTEMPTS - 1):
            if not loads[-1].on_time and time.monotonic() < give_up:
                again = _measure_one(client, count, start)
                loads[-1] = min(loads[-1], again, key=lambda load: load.pacing_p99_ms)
    return loads


def _measure_one(client: str, count: int, start: Starter) -> Load:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        inlets = [stack.enter_context(_inlet(f"127.0.46.{n + 1}")) for n in range(count)]
        processes = start([inlet.getsockname() for inlet in inlets], folder)
        stack.callback(_end, processes)
        _await_packets(inlets)
        time.sleep(_SETTLE_S)
        for inlet in inlets:
            _drain(inlet)
        before, begun = _cpu_s(processes), time.monotonic()
        seconds = []
        for number in range(_SECONDS):
            time.sleep(max(0.0, begun + number + 1 - time.monotonic()))
            seconds.append([_drain(inlet) for inlet in inlets])
        cpu = (_cpu_s(processes) - before) / (time.monotonic() - begun)
    packets = sum(len(seen) for second in seconds for seen in second)
    p99 = statistics.median(_p99_ms(second) for second in seconds)
    return Load(client, count, round(cpu, 4), round(p99, 3), packets)


def _p99_ms(second: Sequence[Sequence[float]]) -> float:
    errors = [error for arrivals in second for error in pacing_errors_ms(arrivals)]
    return statistics.quantiles(errors, n=100)[98] if len(errors) > 1 else math.inf


def pacing_errors_ms(arrivals: Sequence[float]) -> list[float]:
    """How late each packet of one stream is against a 6 ms grid through its most punctual one."""
    offsets = [arrival - number * INTERVAL_S for number, arrival in enumerate(arrivals)]
    on_time = min(offsets, default=0.0)
    return [(offset - on_time) * 1000 for offset in offsets]


def _start_native(targets: Sequence[Target], folder: Path) -> list[subprocess.Popen[bytes]]:
    to_s = _READY_S + _SETTLE_S + _SECONDS
    streams = [
        SenderStream(
            name=f"s{n}",
            protocol="rtp",
            signal=n % signal_count(),
            local=Endpoint(address="127.0.0.1", port=0),
            remote=Endpoint(address=address, port=port),
            from_s=0.0,
            to_s=to_s,
        ).model_dump()
        for n, (address, port) in enumerate(targets)
    ]
    worker = Worker(
        name="bench", kind="native_sender", from_s=0.0, to_s=to_s, spec={"streams": streams}
    )
    plan = Plan(
        run_id="bench",
        host="bench",
        scenario="bench",
        scale="bench",
        seed=0,
        duration_s=to_s,
        phases=(),
        workers=(worker,),
    )
    path = folder / "plan.json"
    path.write_text(plan.model_dump_json())
    return [_pinned(command(path, worker, time.time()))]


def _start_gst(targets: Sequence[Target], folder: Path) -> list[subprocess.Popen[bytes]]:
    ptime_ns = round(INTERVAL_S * 1e9)
    frames = wire.PAYLOAD_BYTES // 4
    return [
        _pinned(
            f"{LAUNCHER} -q audiotestsrc is-live=true freq=1000 samplesperbuffer={frames}"
            " ! audio/x-raw,format=S16BE,rate=48000,channels=2,layout=interleaved"
            f" ! rtpL16pay pt=127 min-ptime={ptime_ns} max-ptime={ptime_ns}"
            f" ! udpsink host={address} port={port}".split()
        )
        for address, port in targets
    ]


def _pinned(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    core = max(os.sched_getaffinity(0))
    return subprocess.Popen(
        ["taskset", "--cpu-list", str(core), *arguments], stdout=subprocess.DEVNULL
    )


def _inlet(address: str) -> socket.socket:
    inlet = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    inlet.setblocking(False)
    inlet.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    inlet.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    inlet.bind((address, 0))
    return inlet


def _drain(inlet: socket.socket) -> list[float]:
    arrivals: list[float] = []
    while True:
        try:
            _data, ancillary, _flags, _from = inlet.recvmsg(1, socket.CMSG_SPACE(TIMESPEC.size))
        except BlockingIOError:
            return arrivals
        seconds, nanoseconds = TIMESPEC.unpack(ancillary[0][2])
        arrivals.append(seconds + nanoseconds * 1e-9)


def _await_packets(inlets: Sequence[socket.socket]) -> None:
    give_up = time.monotonic() + _READY_S
    silent = list(inlets)
    while silent and time.monotonic() < give_up:
        time.sleep(0.05)
        silent = [inlet for inlet in silent if not _drain(inlet)]


def _cpu_s(processes: Sequence[subprocess.Popen[bytes]]) -> float:
    times = [psutil.Process(process.pid).cpu_times() for process in processes]
    return sum(one.user + one.system for one in times)


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait()
