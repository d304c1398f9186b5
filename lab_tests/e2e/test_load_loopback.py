"""Senders and receivers as the agent runs them, in processes of their own, over loopback.

Receivers are always stopped before their senders, as plans have it.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from screamlab.agent.workers import command
from screamlab.load import wire
from screamlab.load.bench import measure
from screamlab.scenario.plan import (
    Endpoint,
    Heard,
    Plan,
    Protocol,
    ReceiverStream,
    SenderStream,
    Worker,
)

pytestmark = [pytest.mark.e2e, pytest.mark.light]

PATIENCE_S = 40.0
DURATION_S = 300.0
STEADY_S = 2
PLAYOUT_MS = 400.0
"""Roomy, so that a busy machine's stalls are no dropouts."""

GAPS = {"audio.dropout", "audio.silence"}

Record = dict[str, Any]


class Loopback:
    """Worker processes of one plan and what they have written so far."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._read: dict[Path, int] = {}
        self._events: list[Record] = []
        self._series: dict[str, list[Record]] = {}

    def start(self, *workers: Worker) -> None:
        plan = Plan(
            run_id="loopback",
            host="h",
            scenario="loopback",
            scale="quick",
            seed=1,
            duration_s=DURATION_S,
            phases=(),
            workers=workers,
        )
        path = self.folder / "plan.json"
        path.write_text(plan.model_dump_json())
        zero = time.time()
        for worker in workers:
            self._processes[worker.name] = subprocess.Popen(command(path, worker, zero))

    def process(self, name: str) -> psutil.Process:
        return psutil.Process(self._processes[name].pid)

    def stop(self, *names: str) -> None:
        for name in names:
            self._processes[name].terminate()
        for name in names:
            assert self._processes[name].wait(PATIENCE_S) == 0

    def kill(self) -> None:
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self._processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _follow(self) -> None:
        """Read what has been written since the last time."""
        for path in self.folder.glob("*.jsonl"):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                new = file.read()
            whole = new[: new.rfind(b"\n") + 1]
            self._read[path] = self._read.get(path, 0) + len(whole)
            for record in map(json.loads, whole.splitlines()):
                if "kind" in record:
                    self._events.append(record)
                else:
                    self._series.setdefault(record["subject"], []).append(record["values"])

    def events(self, kind: str = "") -> list[Record]:
        self._follow()
        return [one for one in self._events if one["kind"].startswith(kind)]

    def series(self, subject: str) -> list[Record]:
        self._follow()
        return self._series.get(subject, [])

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        give_up = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < give_up, f"{what} did not happen: {self.events()}"
            time.sleep(0.1)

    def steadily_heard(self, *streams: str) -> bool:
        """Whether each stream has been heard for some whole seconds in a row."""
        self._follow()
        return all(
            [values["heard"] for values in self._series.get(f"stream/{name}", [])[-STEADY_S:]]
            == [1] * STEADY_S
            for name in streams
        )


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Loopback]:
    lab = Loopback(tmp_path)
    yield lab
    lab.kill()


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def sender(number: int, remote: Endpoint, protocol: Protocol = "rtp", **more: Any) -> SenderStream:
    return SenderStream(
        name=f"s{number}",
        protocol=protocol,
        signal=number,
        local=Endpoint(address=f"127.0.51.{number + 1}", port=0),
        remote=remote,
        from_s=0.0,
        to_s=DURATION_S,
        **more,
    )


def receiver(number: int, protocol: Protocol = "rtp", **more: Any) -> ReceiverStream:
    return ReceiverStream(
        name=f"r{number}",
        protocol=protocol,
        local=Endpoint(address=f"127.0.52.{number + 1}", port=free_port()),
        hears=(Heard(sender=f"s{number}", signal=number),),
        from_s=0.0,
        to_s=DURATION_S,
        lossy=more.get("codec") == "opus",
        **{"playout_ms": PLAYOUT_MS, **more},
    )


def worker(name: str, kind: str, *streams: SenderStream | ReceiverStream) -> Worker:
    spec = {"streams": [stream.model_dump() for stream in streams]}
    return Worker(name=name, kind=kind, from_s=0.0, to_s=DURATION_S, spec=spec)


@pytest.mark.parametrize(
    ("sending", "receiving", "protocol", "codec"),
    [
        ("native_sender", "native_receiver", "rtp", "l16"),
        ("native_sender", "native_receiver", "scream", "l16"),
        ("gst_sender", "native_receiver", "rtp", "l16"),
        ("native_sender", "gst_receiver", "rtp", "l16"),
        ("gst_sender", "gst_receiver", "rtp", "opus"),
    ],
)
def test_every_stream_is_heard_without_a_fault(
    lab: Loopback, sending: str, receiving: str, protocol: Protocol, codec: Any
) -> None:
    receivers = [receiver(n, protocol, codec=codec) for n in range(2)]
    senders = [sender(n, r.local, protocol, codec=codec) for n, r in enumerate(receivers)]
    lab.start(worker("tx", sending, *senders), worker("rx", receiving, *receivers))
    lab.wait_for(lambda: lab.steadily_heard("r0/s0", "r1/s1"), "steady sound")
    lab.stop("rx")
    lab.stop("tx")

    assert lab.events("audio.") == []
    assert {one["subject"] for one in lab.events("stream.heard")} == {
        "stream/r0/s0",
        "stream/r1/s1",
    }
    last = lab.series("stream/r0/s0")[-1]
    assert last["level_db"] == pytest.approx(0, abs=1)
    assert 0 <= last["latency_ms"] < PLAYOUT_MS
    assert lab.events("worker.failed") == []


def test_forty_native_streams_run_without_a_dropout(lab: Loopback) -> None:
    kinds: list[Protocol] = ["scream"] * 20 + ["rtp"] * 20
    receivers = [receiver(n, kind) for n, kind in enumerate(kinds)]
    senders = [sender(n, r.local, r.protocol) for n, r in enumerate(receivers)]
    lab.start(
        worker("rx", "native_receiver", *receivers),
        worker("tx1", "native_sender", *senders[:20]),
        worker("tx2", "native_sender", *senders[20:]),
    )
    streams = [f"r{n}/s{n}" for n in range(40)]
    lab.wait_for(lambda: lab.steadily_heard(*streams), "steady sound")
    lab.stop("rx")
    lab.stop("tx1", "tx2")

    assert lab.events("audio.") == []
    assert [one["drops"] for one in lab.events("receiver.overrun")] in ([], [0])


class Relay:
    """Passes datagrams on from one endpoint to another, except those it is told to lose."""

    def __init__(self, target: Endpoint) -> None:
        self._inlet = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._inlet.bind(("127.0.53.1", 0))
        self._inlet.settimeout(PATIENCE_S)
        self._target = (target.address, target.port)
        address, port = self._inlet.getsockname()
        self.entrance = Endpoint(address=address, port=port)

    def lose(self, packets: int) -> None:
        for _ in range(packets):
            self._inlet.recv(2048)

    def pass_until(self, condition: Callable[[], bool], what: str) -> None:
        give_up = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < give_up, f"{what} did not happen"
            for _ in range(50):
                self._inlet.sendto(self._inlet.recv(2048), self._target)

    def close(self) -> None:
        self._inlet.close()


@pytest.fixture
def lossy(lab: Loopback, request: pytest.FixtureRequest) -> Iterator[Relay]:
    """A native sender heard steadily by a receiver of the given kind behind a relay."""
    ear = receiver(0)
    relay = Relay(ear.local)
    lab.start(
        worker("rx", request.param, ear),
        worker("tx", "native_sender", sender(0, relay.entrance)),
    )
    relay.pass_until(lambda: lab.steadily_heard("r0/s0"), "steady sound")
    assert lab.events("audio.") == []
    yield relay
    relay.close()


PACKET_MS = wire.PAYLOAD_BYTES / 4 / 48


@pytest.mark.parametrize("lossy", ["native_receiver", "gst_receiver"], indirect=True)
@pytest.mark.parametrize("packets", [5, 250])
def test_lost_packets_are_a_dropout_of_their_size(
    lab: Loopback, lossy: Relay, packets: int
) -> None:
    lossy.lose(packets)
    lossy.pass_until(lambda: bool(lab.events("audio.")), "a dropout")
    lossy.pass_until(lambda: lab.steadily_heard("r0/s0"), "steady sound")
    lab.stop("rx")

    (found,) = lab.events("audio.")
    assert found["kind"] in GAPS
    assert found["subject"] == "stream/r0/s0"
    assert found["ms"] == pytest.approx(packets * PACKET_MS, abs=1)
    last = lab.series("stream/r0/s0")[-1]
    assert last["dropouts"] == 1
    assert last["dropout_ms"] == pytest.approx(packets * PACKET_MS, abs=1)
    assert lab.series("receiver/r0")[-1].get("lost", packets) == packets


def test_a_sender_that_stood_still_says_so_and_is_heard_to(lab: Loopback) -> None:
    ear = receiver(0, playout_ms=100.0)
    lab.start(
        worker("rx", "native_receiver", ear), worker("tx", "native_sender", sender(0, ear.local))
    )
    lab.wait_for(lambda: lab.steadily_heard("r0/s0"), "steady sound")
    process = lab.process("tx")
    process.suspend()
    time.sleep(0.3)
    process.resume()
    lab.wait_for(
        lambda: any(one["late_ms"] > 250 for one in lab.events("sender.overrun")),
        "the sender's word of it",
    )
    lab.wait_for(
        lambda: lab.series("stream/r0/s0")[-1]["dropout_ms"] > 150, "the receiver's word of it"
    )

    assert {one["kind"] for one in lab.events("audio.")} <= GAPS
    assert lab.series("receiver/r0")[-1]["late"] > 20


def test_a_pipeline_that_dies_is_told_and_the_others_go_on(lab: Loopback) -> None:
    receivers = [receiver(n) for n in range(2)]
    senders = [sender(n, r.local) for n, r in enumerate(receivers)]
    lab.start(worker("tx", "gst_sender", *senders), worker("rx", "native_receiver", *receivers))
    lab.wait_for(lambda: lab.steadily_heard("r0/s0", "r1/s1"), "steady sound")
    (first,) = [
        child
        for child in lab.process("tx").children()
        if f"host={senders[0].remote.address}" in child.cmdline()
    ]
    first.kill()
    lab.wait_for(lambda: bool(lab.events("worker.failed")), "word of the failure")
    seconds = len(lab.series("stream/r1/s1"))
    lab.wait_for(lambda: len(lab.series("stream/r1/s1")) > seconds + 2, "more sound")
    lab.stop("rx")

    (failed,) = lab.events("worker.failed")
    assert failed["subject"] == "sender/s0"
    assert "gst-launch-1.0 ended" in failed["error"]
    assert lab.steadily_heard("r1/s1")
    assert not lab.steadily_heard("r0/s0")


def test_the_bench_measures_both_clients_at_the_same_load() -> None:
    measured = measure(native=(3,), gst=(3,), budget_s=1.0)

    assert [(load.client, load.streams) for load in measured.loads] == [
        ("native", 3),
        ("gst-launch", 3),
    ]
    for load in measured.loads:
        assert load.packets > 0
        assert 0 < load.cpu < 1
        assert load.pacing_p99_ms > 0
    assert measured.cpu_ratio > 0


def test_an_address_that_is_not_there_fails_one_stream(lab: Loopback) -> None:
    ear = receiver(0)
    lost = sender(1, ear.local).model_copy(
        update={"local": Endpoint(address="198.18.255.254", port=0)}
    )
    lab.start(
        worker("tx", "native_sender", sender(0, ear.local), lost),
        worker("rx", "native_receiver", ear),
    )
    lab.wait_for(lambda: lab.steadily_heard("r0/s0"), "steady sound")

    (failed,) = lab.events("worker.failed")
    assert failed["subject"] == "sender/s1"
    assert "198.18.255.254" in failed["error"]


def test_a_router_that_restarts_is_followed_without_a_cascade(lab: Loopback) -> None:
    """A relay gives the stream a new SSRC and new sequence numbers, as a restarted sender has."""
    ear = receiver(0)
    relay = Relay(ear.local)
    lab.start(
        worker("rx", "native_receiver", ear),
        worker("tx", "native_sender", sender(0, relay.entrance)),
    )
    relay.pass_until(lambda: lab.steadily_heard("r0/s0"), "steady sound")
    before = len(lab.series("stream/r0/s0"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        give_up = time.monotonic() + PATIENCE_S
        while len(lab.series("stream/r0/s0")) < before + 3:
            assert time.monotonic() < give_up
            for _ in range(50):
                packet = wire.parse_rtp(relay._inlet.recv(2048))
                renewed = packet._replace(
                    ssrc=packet.ssrc ^ 0xFFFF,
                    sequence=(packet.sequence + 30_000) & 0xFFFF,
                    timestamp=(packet.timestamp + 123_456) & 0xFFFFFFFF,
                )
                out.sendto(wire.encode_rtp(renewed), (ear.local.address, ear.local.port))
    relay.close()
    lab.stop("rx")

    assert [one["kind"] for one in lab.events("net.")] == ["net.ssrc_change"]
    assert lab.events("audio.") == []
    assert lab.series("receiver/r0")[-1]["lost"] == 0
