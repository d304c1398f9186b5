"""Hosts that tell each other of an incident, so that all of them keep the packets around it.

A call is one small datagram on the data network, said `TIMES_S` after the event, since the network
may be what is broken: the rings hold far longer than that. A call that never arrives costs the
packets of one host, and nothing else depends on it.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator, Sequence

from screamlab.scenario.plan import Endpoint

TIMES_S = (0.0, 1.0, 4.0)

EVERY_S = 1.0
"""One call stands for all events of a kind within so long."""

_BYTES = 1024


class Calls:
    """Tells `peers`, and listens at `local` where the host is one of those that are told.

    Calls of other runs are not heard. `OSError` when `local` cannot be bound.
    """

    def __init__(self, run: str, local: Endpoint | None, peers: Sequence[Endpoint]) -> None:
        self._run = run
        self._peers = [(peer.address, peer.port) for peer in peers]
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        if local is not None:
            self._socket.bind((local.address, local.port))
        self._due: list[tuple[float, bytes]] = []
        self._told: dict[str, float] = {}
        self._heard: set[tuple[float, str]] = set()

    def tell(self, t: float, kind: str) -> None:
        """Let the others know that something of `kind` happened at `t` (unix seconds)."""
        if not self._peers or abs(t - self._told.get(kind, -EVERY_S)) < EVERY_S:
            return
        self._told[kind] = t
        call = json.dumps({"run": self._run, "t": t, "kind": kind}).encode()
        now = time.monotonic()
        self._due += [(now + after_s, call) for after_s in TIMES_S]

    def heard(self) -> Iterator[tuple[float, str]]:
        """Send what is due; yields each event that others have told of, once."""
        now = time.monotonic()
        for call in [call for due, call in self._due if due <= now]:
            for peer in self._peers:
                # An unreachable network is what repeating is for.
                with contextlib.suppress(OSError):
                    self._socket.sendto(call, peer)
        self._due = [one for one in self._due if one[0] > now]
        while (received := self._receive()) is not None:
            event = self._parse(received)
            if event and event not in self._heard:
                self._heard.add(event)
                yield event

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _receive(self) -> bytes | None:
        while True:
            try:
                return self._socket.recv(_BYTES)
            except BlockingIOError:
                return None
            except OSError:
                # ICMP's answer to an earlier call: that host does not listen (yet).
                continue

    def _parse(self, call: bytes) -> tuple[float, str] | None:
        try:
            told = json.loads(call)
            return (float(told["t"]), str(told["kind"])) if told["run"] == self._run else None
        except (ValueError, KeyError, TypeError):
            return None
