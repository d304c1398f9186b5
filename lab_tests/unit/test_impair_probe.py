"""Probes: the packet, the tally of what became of packets, and both workers over loopback."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from screamlab.agent.context import WorkerContext
from screamlab.evidence.spool import Spool, read_lines
from screamlab.impair import probe, probe_wire
from screamlab.impair.probe_stream import ProbeStream
from screamlab.impair.probe_tally import SETTLE_S, Second, Tally
from screamlab.impair.probe_wire import ProbePacket, decode, encode
from screamlab.scenario.plan import Endpoint

ZERO_NS = 1_750_000_000_000_000_000
NS = 1_000_000_000
DELAY_NS = 1_500_000


@given(sequence=st.integers(0, 2**32 - 1), sent_ns=st.integers(0, 2**64 - 1))
def test_a_packet_comes_out_as_it_went_in(sequence: int, sent_ns: int) -> None:
    packet = ProbePacket(sequence, sent_ns)
    datagram = encode(7, packet, 160)

    assert len(datagram) == 160
    assert decode(datagram, 7) == packet
    assert decode(datagram, 8) is None


@given(at=st.integers(0, 159), bit=st.integers(0, 7))
def test_a_damaged_packet_is_none(at: int, bit: int) -> None:
    datagram = bytearray(encode(7, ProbePacket(1, 2), 160))
    datagram[at] ^= 1 << bit

    assert decode(bytes(datagram), 7) is None


@given(datagram=st.binary(max_size=200))
def test_foreign_datagrams_are_none(datagram: bytes) -> None:
    assert decode(datagram, 7) is None


def test_streams_differ_by_name_and_by_run() -> None:
    assert len({probe_wire.stream_id(n, z) for n in ("a", "b") for z in (1.0, 2.0)}) == 4


def sent_ns(sequence: int) -> int:
    """Ten packets a second, the first at the plan's zero."""
    return ZERO_NS + sequence * NS // 10


def tallied(sequences: list[int]) -> Tally:
    """A tally that was given these packets, in this order."""
    tally = Tally(ZERO_NS, 100)
    for sequence in sequences:
        tally.take(sequence, sent_ns(sequence), sent_ns(sequence) + DELAY_NS)
    return tally


def at_ns(seconds: float) -> int:
    return ZERO_NS + round(seconds * NS)


def test_seconds_are_told_once_they_have_settled() -> None:
    tally = tallied(list(range(25)))

    assert tally.settled(at_ns(0.99 + SETTLE_S)) == []
    (first,) = tally.settled(at_ns(1.01 + SETTLE_S))
    assert first == Second(0, 0, (1500,) * 10)
    assert [second.second for second in tally.settled(at_ns(100))] == [1]
    assert [(s.second, s.first_seq, len(s.delays_us)) for s in tally.rest()] == [(2, 20, 5)]


def test_lost_packets_stand_in_the_second_they_were_sent_in() -> None:
    lost = {0, 3, 9, 10, 14}
    seconds = tallied([n for n in range(20) if n not in lost]).rest()

    assert [(s.second, s.first_seq) for s in seconds] == [(0, 0), (1, 10)]
    found = [
        s.first_seq + at for s in seconds for at, delay in enumerate(s.delays_us) if delay is None
    ]
    assert set(found) == lost


def test_an_outage_of_seconds_is_told_when_it_is_over() -> None:
    tally = tallied([n for n in range(12)])
    # Nothing of a later second has come: it may be the network, or the end.
    assert [s.second for s in tally.settled(at_ns(60))] == [0]
    for sequence in range(45, 50):
        tally.take(sequence, sent_ns(sequence), sent_ns(sequence) + DELAY_NS)
    seconds = tally.rest()

    assert [(s.second, s.first_seq, len(s.delays_us)) for s in seconds] == [
        (1, 10, 10),
        (2, 20, 10),
        (3, 30, 10),
        (4, 40, 10),
    ]
    assert sum(delay is None for s in seconds for delay in s.delays_us) == 33


def test_reordered_and_doubled_packets_are_counted_where_they_were_sent() -> None:
    # RFC 4737: 12 and 13 come after 14; 8 comes twice.
    order = [*range(9), 8, 9, 10, 11, 14, 12, 13, *range(15, 20)]
    seconds = tallied(order).rest()

    assert [(s.reordered, s.duplicates) for s in seconds] == [(0, 1), (2, 0)]
    assert all(delay is not None for s in seconds for delay in s.delays_us)


def test_what_comes_after_its_second_was_told_is_late_and_lost() -> None:
    tally = tallied([n for n in range(25) if n != 4])
    (first, _) = tally.settled(at_ns(60))
    tally.take(4, sent_ns(4), at_ns(61))

    assert first.delays_us[4] is None
    assert tally.late == 1
    assert [s.second for s in tally.rest()] == [2]


@given(
    fates=st.lists(st.one_of(st.none(), st.integers(0, 4_000)), min_size=1, max_size=120),
    looks=st.lists(st.integers(0, 20_000), max_size=6),
)
def test_no_packet_is_told_twice_or_forgotten(fates: list[int | None], looks: list[int]) -> None:
    """Whatever comes when (delays in ms), between looks at any time."""
    tally = Tally(ZERO_NS, 100)
    came = sorted((sent_ns(n) + ms * 1_000_000, n) for n, ms in enumerate(fates) if ms is not None)
    told: list[Second] = []
    pending = sorted(ZERO_NS + ms * 1_000_000 for ms in looks)
    for arrival_ns, sequence in came:
        while pending and pending[0] <= arrival_ns:
            told += tally.settled(pending.pop(0))
        tally.take(sequence, sent_ns(sequence), arrival_ns)
    told += tally.rest()

    numbers = [s.first_seq + at for s in told for at in range(len(s.delays_us))]
    last = max((n for _, n in came), default=-1)
    assert numbers == list(range(last + 1))
    delays = [delay for s in told for delay in s.delays_us]
    assert delays == [None if ms is None else ms * 1000 for ms in fates[: last + 1]]
    assert tally.late == 0
    assert [s.second for s in told] == sorted({s.second for s in told})


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def stream(port: int, **more: Any) -> ProbeStream:
    return ProbeStream(
        name="client1-from-host",
        target="client1",
        direction="from_host",
        local=Endpoint(address="127.0.74.1", port=0),
        remote=Endpoint(address="127.0.74.2", port=port),
        from_s=0.0,
        to_s=2.5,
        **more,
    )


def context(folder: Path, name: str, zero: float, to_s: float = 3.0) -> WorkerContext:
    spool = Spool(folder, writer=name, host="h")
    return WorkerContext(name, "h", zero, 0.0, to_s, spool, folder)


def events(folder: Path, kind: str) -> list[dict[str, Any]]:
    found = [e for path in folder.glob("events-*.jsonl") for e in read_lines(path).records]
    return [event for event in found if event["kind"] == kind]


def probed(folder: Path, one: ProbeStream) -> list[threading.Thread]:
    """Both workers at work on one stream, in threads."""
    zero = time.time()
    spec = {"streams": [one.model_dump(mode="json")]}
    jobs = [
        threading.Thread(target=run, args=(spec, context(folder, name, zero)))
        for name, run in (("rx", probe.run_receivers), ("tx", probe.run_senders))
    ]
    for job in jobs:
        job.start()
    return jobs


def test_both_workers_agree_on_every_packet(tmp_path: Path) -> None:
    port = free_port()
    jobs = probed(tmp_path, stream(port))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        while not events(tmp_path, "probe.listening"):
            time.sleep(0.01)
        stranger.sendto(b"what is this", ("127.0.74.2", port))
        stranger.sendto(encode(1, ProbePacket(0, 0), 160), ("127.0.74.2", port))
    for job in jobs:
        job.join()

    sent, told = events(tmp_path, "probe.sent"), events(tmp_path, "probe.second")
    packets = sum(event["packets"] for event in sent)
    delays = [delay for event in told for delay in event["delays_us"]]
    assert packets == pytest.approx(225, abs=5)
    assert len(delays) == packets and None not in delays
    assert min(delays) >= 0 and sorted(delays)[len(delays) // 2] < 5_000
    assert [(e["second"], e["first_seq"]) for e in told] == [
        (e["second"], e["first_seq"]) for e in sent
    ]
    assert all(e["subject"] == "probe/client1-from-host" for e in sent + told)
    assert sum(e["reordered"] + e["duplicates"] for e in told) == 0
    (end,) = events(tmp_path, "probe.end")
    assert (end["received"], end["foreign"], end["late"]) == (packets, 2, 0)


def test_a_sender_nobody_listens_to_still_tells_what_it_sent(tmp_path: Path) -> None:
    one = stream(free_port()).model_copy(update={"to_s": 1.2})
    spec = {"streams": [one.model_dump(mode="json")]}
    probe.run_senders(spec, context(tmp_path, "tx", time.time(), to_s=1.3))

    sent = events(tmp_path, "probe.sent")
    assert sum(event["packets"] for event in sent) > 50
    assert [event["errors"] for event in sent] == [0] * len(sent)
    assert [e["first_seq"] for e in sent[1:]] == [e["first_seq"] + e["packets"] for e in sent[:-1]]


def test_an_address_that_is_not_there_is_told(tmp_path: Path) -> None:
    away = Endpoint(address="203.0.113.1", port=47000)
    one = stream(free_port()).model_copy(update={"local": away, "remote": away})
    spec = {"streams": [one.model_dump(mode="json")]}
    for name, run in (("rx", probe.run_receivers), ("tx", probe.run_senders)):
        run(spec, context(tmp_path, name, time.time(), to_s=0.1))

    failed = events(tmp_path, "worker.failed")
    assert [event["subject"] for event in failed] == ["probe/client1-from-host"] * 2
    assert all("203.0.113.1" in event["error"] for event in failed)
