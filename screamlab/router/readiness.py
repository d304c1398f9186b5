"""Whether the router's engine works, which is more than its web server answering.

ScreamRouter's API comes up and answers 200 even when the engine failed to initialise, and a start
race leaves a receiver thread dead on a port that stays bound. So readiness is seen from outside:
every engine port is bound by the router's own processes, and a datagram of one byte sent to it
from this host (too short for any of the protocols, so it leaves no trace in configuration or
counters) is fetched from the socket's queue.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import psutil

from screamlab.errors import InfraError
from screamlab.observe.procfs import UdpSocket, parse_udp_sockets
from screamlab.router.client import RouterClient, RouterError
from screamlab.router.service import running_version

# RTP, SAP, raw Scream (default and router port) and per-process Scream; fixed in the engine.
ENGINE_PORTS = (40000, 9875, 4010, 16401, 16402)
_FINISHED = "RTP receiver thread finished"
_LOOK_S = 0.1


class Service(Protocol):
    """The running router: a systemd unit, or a process in a test."""

    def pid(self) -> int | None:
        """The main process, None when the service does not run."""

    def invocation(self) -> str:
        """A name for the present start, another one after every restart."""

    def restart(self) -> None:
        """Stop and start the service; `InfraError` when that fails."""


@dataclass(frozen=True)
class Look:
    """What one start of the router turned out to be.

    `ready`: the engine works. `race`: ports in `stuck` are bound but nobody reads them.
    `failed`: see `reason`. `seconds` is the age of the process at the time of the verdict.
    """

    outcome: Literal["ready", "race", "failed"]
    seconds: float = 0.0
    stuck: tuple[int, ...] = ()
    reason: str = ""
    version: str | None = None


@dataclass(frozen=True)
class Readiness:
    """How many starts it took until the engine worked, and how many of them were races.

    `restarts` tells of every restart, of a router that had hung too. `version` is the release that
    runs, None when its Python cannot tell.
    """

    starts: int
    races: int
    restarts: int
    seconds: float
    version: str | None


def make_ready(
    service: Service,
    client: RouterClient,
    *,
    max_starts: int,
    timeout_s: float,
    drain_s: float,
    logs: Path | None = None,
    record: Path | None = None,
) -> Readiness:
    """Judge the present start; restart after a race, until the engine works.

    Every start judged for the first time becomes a line of `record`. One that worked then and does
    not now has hung since: it is ended, and counts for nothing. Raises `InfraError` when a start
    fails for another reason than the race, or all `max_starts` starts were races.
    """
    hung = 0
    if record is not None and worked(record, service.invocation()):
        look = judge_start(service, client, timeout_s=drain_s, drain_s=drain_s, logs=logs)
        if look.outcome == "ready":
            return Readiness(1, 0, 0, look.seconds, look.version)
        service.restart()
        hung = 1
    for start in range(1, max_starts + 1):
        look = judge_start(service, client, timeout_s=timeout_s, drain_s=drain_s, logs=logs)
        if record is not None:
            note_start(record, service.invocation(), look)
        _raise_if_failed(look)
        if look.outcome == "ready":
            return Readiness(start, start - 1, start - 1 + hung, look.seconds, look.version)
        if start < max_starts:
            service.restart()
    raise InfraError(f"{max_starts} starts of the router in a row lost the receiver start race")


def check_ready(
    service: Service,
    client: RouterClient,
    *,
    timeout_s: float,
    drain_s: float,
    logs: Path | None = None,
) -> Readiness:
    """Judge the present start and leave it as it is; `restarts` is 1 when it needs one."""
    look = judge_start(service, client, timeout_s=timeout_s, drain_s=drain_s, logs=logs)
    _raise_if_failed(look)
    race = int(look.outcome == "race")
    return Readiness(1, race, race, look.seconds, look.version)


def judge_start(
    service: Service,
    client: RouterClient,
    *,
    timeout_s: float,
    drain_s: float,
    logs: Path | None = None,
) -> Look:
    """Wait until the present start of the router can be judged, for at most both times together.

    `logs` is the router's own log folder: its receiver says there when it ends.
    """
    pid = service.pid()
    if pid is None:
        return Look("failed", reason="its service is not running")
    try:
        started = psutil.Process(pid).create_time()
        if reason := _wait_listening(pid, client, timeout_s):
            return Look("failed", round(time.time() - started, 2), reason=reason)
        stuck = probe(pid, drain_s=drain_s)
    except (psutil.NoSuchProcess, FileNotFoundError):
        return Look("failed", reason=f"process {pid} ended while starting")
    seconds = round(time.time() - started, 2)
    if not stuck and logs is not None and receiver_finished(logs):
        stuck = (40000,)
    outcome: Literal["ready", "race"] = "race" if stuck else "ready"
    return Look(outcome, seconds, stuck, version=running_version(pid))


def probe(pid: int, *, drain_s: float) -> tuple[int, ...]:
    """The engine ports whose queue still holds something `drain_s` seconds after a datagram."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for port in ENGINE_PORTS:
            sender.sendto(b"\0", ("127.0.0.1", port))
    deadline = time.monotonic() + drain_s
    while stuck := queued_ports(_udp_table(pid)):
        if time.monotonic() > deadline:
            break
        time.sleep(_LOOK_S)
    return stuck


def queued_ports(table: Iterable[UdpSocket]) -> tuple[int, ...]:
    """The engine ports on which something waits to be read."""
    queued = {entry.port for entry in table if entry.rx_queue_bytes}
    return tuple(port for port in ENGINE_PORTS if port in queued)


def receiver_finished(logs: Path) -> bool:
    """Whether the router's present log files (older ones are rotated away) show a dead receiver."""
    return any(
        _FINISHED in file.read_text(errors="replace")
        for file in logs.glob("screamrouter.cpp_audio_engine.*receiver*.log")
    )


def worked(record: Path, invocation: str) -> bool:
    """Whether a start was judged before, and its engine worked."""
    return _outcome(record, invocation) == "ready"


def note_start(record: Path, invocation: str, look: Look) -> None:
    """Append one start to the record unless its invocation is already there."""
    if _outcome(record, invocation) is not None:
        return
    record.parent.mkdir(parents=True, exist_ok=True)
    line = {
        "t": round(time.time(), 3),
        "invocation": invocation,
        "version": look.version,
        "outcome": look.outcome,
        "seconds": look.seconds,
        "stuck": look.stuck,
        "reason": look.reason,
    }
    with record.open("a") as file:
        file.write(json.dumps(line) + "\n")


def _outcome(record: Path, invocation: str) -> str | None:
    lines = record.read_text().splitlines() if record.exists() else []
    outcomes = {start["invocation"]: str(start["outcome"]) for start in map(json.loads, lines)}
    return outcomes.get(invocation)


def _raise_if_failed(look: Look) -> None:
    if look.outcome == "failed":
        raise InfraError(f"the router did not become ready: {look.reason}")


def _wait_listening(pid: int, client: RouterClient, timeout_s: float) -> str | None:
    """Wait for the API and all engine ports; the reason when they do not come."""
    deadline = time.monotonic() + timeout_s
    while True:
        reason = _not_listening(pid, client)
        if reason is None or time.monotonic() > deadline:
            return reason
        time.sleep(_LOOK_S)


def _not_listening(pid: int, client: RouterClient) -> str | None:
    try:
        client.stats()
    except RouterError as error:
        # Raises when the process is gone, which is a better reason.
        psutil.Process(pid).status()
        return str(error)
    missing = sorted(set(ENGINE_PORTS) - _bound_ports(pid))
    if missing:
        ports = ", ".join(map(str, missing))
        return f"its API answers but its engine does not listen on UDP {ports}"
    return None


def _bound_ports(pid: int) -> set[int]:
    """UDP ports bound by a process and its children."""
    main = psutil.Process(pid)
    return {
        connection.laddr.port
        for process in (main, *main.children(recursive=True))
        for connection in process.net_connections(kind="udp4")
        if connection.laddr
    }


def _udp_table(pid: int) -> list[UdpSocket]:
    return parse_udp_sockets(Path(f"/proc/{pid}/net/udp").read_bytes())
