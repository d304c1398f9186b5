"""RTP streams that begin and end, on loopback: a relay is what the router should be, or is not."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from screamlab.agent.context import WorkerContext
from screamlab.evidence.spool import Spool, read_lines
from screamlab.load import wire
from screamlab.load.churn import rtp
from screamlab.load.churn.sink_ear import SILENT_S, SinkEar
from screamlab.scenario.plan import Endpoint

RELAY, SINK = "127.74.0.1", "127.74.0.2"
# Rendering the signals takes a while on a busy machine.
LEAD_S = 3.0


def free_port(address: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port


class Relay(threading.Thread):
    """Sends what comes from an address on to a port, as it is told to by that address.

    ``on``: as it came; ``silent``: with another payload of the same value all along; ``stuck``: on,
    and the last packet again and again; ``lost``: not at all.
    """

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((RELAY, port))
        self.socket.settimeout(0.006)
        self.lanes: dict[str, tuple[str, int]] = {}
        self.senders: list[tuple[str, int, int]] = []
        self.stopping = False
        self._last: dict[str, bytes] = {}

    def run(self) -> None:
        while not self.stopping:
            try:
                packet, (address, port) = self.socket.recvfrom(2048)
            except TimeoutError:
                for address, packet in self._last.items():
                    self.socket.sendto(packet, (SINK, self.lanes[address][1]))
                continue
            how, sink = self.lanes[address]
            found = (address, port, wire.parse_rtp(packet).ssrc)
            if found not in self.senders:
                self.senders.append(found)
            if how == "silent":
                packet = packet[: wire.RTP_HEADER.size] + b"\xff\x6a" * 576
            if how == "stuck":
                self._last[address] = packet
            if how != "lost":
                self.socket.sendto(packet, (SINK, sink))


@pytest.fixture
def relay() -> Iterator[Relay]:
    relay = Relay(free_port(RELAY))
    relay.start()
    yield relay
    relay.stopping = True
    relay.join()
    relay.socket.close()


def carried_out(
    relay: Relay, folder: Path, hows: list[str], cycles: list[tuple[int, float, float]]
) -> list[dict[str, Any]]:
    """The events of cycles (lane, from, to), on lanes of which each is relayed so."""
    lanes = []
    for number, how in enumerate(hows, 1):
        address, sink = f"127.74.1.{number}", free_port(SINK)
        relay.lanes[address] = (how, sink)
        lanes.append(
            {"number": number, "local": {"address": address, "port": 0}, "signal": number,
             "remote": dict(Endpoint(address=RELAY, port=relay.socket.getsockname()[1])),
             "sink": {"address": SINK, "port": sink}}
        )  # fmt: skip
    spec = {
        "group": "g", "lanes": lanes, "limit_s": 3.0,
        "cycles": [
            {"number": number, "lane": lane, "from_s": from_s, "to_s": to_s}
            for number, (lane, from_s, to_s) in enumerate(cycles, 1)
        ],
    }  # fmt: skip
    spool = Spool(folder, writer="churn", host="client1")
    zero = time.time() + LEAD_S
    end_s = max(to_s for _, _, to_s in cycles)
    rtp.run(spec, WorkerContext("churn", "client1", zero, 0.0, end_s, spool, folder))
    told = read_lines(folder / "events-churn.jsonl").records
    own = [event for event in told if event["kind"] == "churn.cycle"]
    return sorted(own, key=lambda event: int(event["number"]))


def test_streams_begin_are_heard_and_end(relay: Relay, tmp_path: Path) -> None:
    cycles = [(1, 0.2, 0.7), (2, 0.4, 0.8), (1, 1.3, 1.7)]
    events = carried_out(relay, tmp_path, ["on", "on"], cycles)
    assert [event["ok"] for event in events] == [True, True, True], events
    for event in events:
        # The relay takes no time; a crowded machine does, and yet no second of it.
        assert 0 <= event["connect_ms"] < 1000
        assert 0 <= event["disconnect_ms"] < 1000
        assert event["hole_ms"] == 0
    # Each is a sender of its own, with an address of its lane's.
    addresses, ports, ssrcs = zip(*relay.senders, strict=True)
    assert sorted(addresses) == ["127.74.1.1", "127.74.1.1", "127.74.1.2"]
    assert len(set(ssrcs)) == 3 and len(set(ports)) >= 2


def test_a_sink_that_is_silent_or_brings_nothing_has_not_connected(
    relay: Relay, tmp_path: Path
) -> None:
    cycles = [(1, 0.2, 0.4), (2, 0.2, 0.4), (3, 0.2, 0.6)]
    events = carried_out(relay, tmp_path, ["silent", "lost", "on"], cycles)
    assert [event.get("error") for event in events] == [
        "the sink brought silence for 3 s", "the sink brought nothing at all for 3 s", None,
    ]  # fmt: skip


def test_sound_that_goes_on_after_the_end_fails_this_cycle_and_the_next(
    relay: Relay, tmp_path: Path
) -> None:
    events = carried_out(relay, tmp_path, ["stuck"], [(1, 0.2, 0.5), (1, 5.0, 5.3)])
    assert events[0]["error"] == "the sink brought sound for 3 s after the end"
    assert "connect_ms" in events[0] and "disconnect_ms" not in events[0]
    assert events[1]["error"] == "the sink still brought sound before this cycle sent any"


def test_a_lane_whose_port_is_taken_leaves_the_others_alone(relay: Relay, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((SINK, 0))
        lanes = [
            {"number": 1, "sink": dict(zip(("address", "port"), taken.getsockname(), strict=True))},
            {"number": 2, "sink": {"address": SINK, "port": free_port(SINK)}},
        ]
        relay.lanes["127.74.1.2"] = ("on", lanes[1]["sink"]["port"])
        for lane in lanes:
            address = f"127.74.1.{lane['number']}"
            remote = dict(zip(("address", "port"), relay.socket.getsockname(), strict=True))
            lane |= {"local": {"address": address, "port": 0}, "remote": remote, "signal": 1}
        cycles = [
            {"number": number, "lane": number, "from_s": 0.2, "to_s": 0.5} for number in (1, 2)
        ]
        spool = Spool(tmp_path, writer="churn", host="client1")
        context = WorkerContext("churn", "client1", time.time() + LEAD_S, 0.0, 0.5, spool, tmp_path)
        rtp.run({"group": "g", "lanes": lanes, "cycles": cycles}, context)
    told = read_lines(tmp_path / "events-churn.jsonl").records
    (failed,) = [event for event in told if event["kind"] == "worker.failed"]
    assert failed["subject"] == "churn/g" and "Address already in use" in failed["error"]
    (cycle,) = [event for event in told if event["kind"] == "churn.cycle"]
    assert (cycle["number"], cycle["ok"]) == (2, True)


def packet(*samples: int) -> bytes:
    payload = b"".join(sample.to_bytes(2, "big", signed=True) for sample in samples) * 576
    return wire.encode_rtp(wire.RtpPacket(127, 1, 1, 1, payload[:1152]))


def test_a_steady_value_is_silence_and_holes_within_sound_are_counted() -> None:
    async def listened() -> SinkEar:
        ear = SinkEar(Endpoint(address=SINK, port=free_port(SINK)))
        for at, datagram in enumerate(
            [packet(-150), packet(500, -500), packet(77), packet(77), packet(500, -500),
             packet(-29)]
        ):  # fmt: skip
            ear.take(datagram, 100.0 + 0.006 * at)
        ear.take(b" not RTP", 101.0)
        ear.close()
        return ear

    ear = asyncio.run(listened())
    assert ear.packets == 6
    assert ear.sound_since == pytest.approx(100.006)
    assert ear.last_sound_at == pytest.approx(100.024)
    assert ear.hole_ms == pytest.approx(12.0)
    assert ear.rest_level == -29
    assert not ear.sounding() and SILENT_S < 1
