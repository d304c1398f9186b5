"""Real captures: dumpcap's ring, what is cut out of it, and what tshark finds in that."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from labs import wait_for

from screamlab.agent.workers import command
from screamlab.evidence.packets import read_capture, read_packets
from screamlab.evidence.spool import read_lines
from screamlab.load import wire
from screamlab.observe.capture import Keeping, Watching
from screamlab.observe.ring import Ring
from screamlab.scenario.plan import Endpoint, Heard, Plan, ReceiverStream, SenderStream, Worker

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.geteuid() != 0, reason="capturing needs root"),
]

PATIENCE_S = 40.0
AROUND_S = 2.0
PLAN_S = 300.0
PORT, CALLED = 41000, 46999
NETWORK = "198.19.72.0/24"
SENDER, RECEIVER = "198.19.72.32", "198.19.72.12"

LATE_ANSWER = """<?xml version="1.0" encoding="UTF-8"?>
<scenario name="answers after one retransmission">
<recv request="INVITE"/>
<pause milliseconds="800"/>
<send><![CDATA[

SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:];tag=late
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:[local_ip]:[local_port]>
Content-Length: 0

]]></send>
<recv request="ACK"/>
<recv request="BYE"/>
<send><![CDATA[

SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
</scenario>
"""


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[Ring]:
    """A ring of what goes over a loopback address of its own."""
    filters = {"udp port 5060 and host 127.72.0.1": 0, "udp port 40000 and host 127.72.0.1": 80}
    ring = Ring(tmp_path, "lo", filters, ring_mib=4, runtime_s=PATIENCE_S)
    try:
        wait_for(lambda: any(tmp_path.glob(".ring_*")), PATIENCE_S)
        yield ring
    finally:
        ring.stop()


def send_rtp(numbers: Iterator[int]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        for number in numbers:
            packet = wire.RtpPacket(127, number & 0xFFFF, number * 288, 0xCAFE, bytes(1152))
            out.sendto(wire.encode_rtp(packet), ("127.72.0.1", 40000))
            time.sleep(0.003)


def test_what_is_lost_is_counted_to_the_packet_and_a_whole_stream_is_whole(
    ring: Ring, tmp_path: Path
) -> None:
    begin = time.time()
    # The sequence number wraps on the way.
    send_rtp(iter(range(65500, 65600)))
    middle = time.time()
    send_rtp(itertools.chain(range(65600, 65650), range(65657, 65700)))
    seen, missed = ring.stop()
    assert (seen, missed) == (193, 0)
    found = {}
    for name, from_t, to_t in (("clean", begin, middle), ("broken", middle, time.time())):
        file = tmp_path / f"incident-{name}.pcapng"
        assert ring.cut(from_t, to_t, file)
        [flow] = read_capture(file).flows
        found[name] = flow.seen
        assert (flow.ssrc, flow.destination_port) == (0xCAFE, 40000)
    assert (found["clean"].packets, found["clean"].lost) == (100, 0)
    assert (found["broken"].packets, found["broken"].lost) == (93, 7)
    assert found["clean"].sequence_errors == 0 and found["broken"].sequence_errors == 1
    assert [one.lost for one in found["broken"].breaks if one.lost] == [7]
    ring.remove()
    assert not any(tmp_path.glob(".ring_*"))


def test_a_ladder_shows_the_message_that_was_sent_again(ring: Ring, tmp_path: Path) -> None:
    scenario = tmp_path / "late.xml"
    scenario.write_text(LATE_ANSWER)
    begin = time.time()
    common = ["sipp", "-nostdin", "-m", "1", "-timeout", "20", "-trace_err"]
    answering = [*common, "-sf", str(scenario), "-i", "127.72.0.1", "-p", "5060"]
    calling = [*common, "-sn", "uac", "-i", "127.0.0.1", "-p", "5061", "127.72.0.1:5060"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path}
    with subprocess.Popen(answering, **quiet) as answers:
        wait_for(lambda: "127.72.0.1:5060" in listening(), PATIENCE_S)
        assert subprocess.run(calling, check=False, timeout=PATIENCE_S, **quiet).returncode == 0
        assert answers.wait(PATIENCE_S) == 0
    ring.stop()
    file = tmp_path / "incident-sip.pcapng"
    assert ring.cut(begin, time.time(), file)
    [dialog] = read_capture(file).dialogs
    assert dialog.is_call and dialog.problem == "" and dialog.retransmissions == 1
    assert [(message.text, message.again) for message in dialog.messages] == [
        ("INVITE 1", False), ("INVITE 1", True), ("200 (INVITE 1)", False), ("ACK 1", False),
        ("BYE 2", False), ("200 (BYE 2)", False),
    ]  # fmt: skip


def listening() -> str:
    return subprocess.run(["ss", "-Hlun"], capture_output=True, text=True, check=True).stdout


class Hosts:
    """A sender's and a receiver's host, each with its agent's workers."""

    def __init__(self, folder: Path) -> None:
        self.run = folder
        self.names = {"far": f"cap{os.getpid()}f", "near": f"cap{os.getpid()}n"}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def up(self) -> None:
        for namespace in self.names.values():
            self.ip("netns", "add", namespace)
        far, near = self.names["far"], self.names["near"]
        self.ip("-n", far, "link", "add", "d0", "type", "veth", "peer", "d0", "netns", near)
        for name, address in (("far", SENDER), ("near", RECEIVER)):
            self.ip("-n", self.names[name], "address", "add", f"{address}/24", "dev", "d0")
            self.ip("-n", self.names[name], "link", "set", "d0", "up")

    def down(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()
        for namespace in self.names.values():
            with contextlib.suppress(subprocess.CalledProcessError):
                self.ip("netns", "del", namespace)

    def start(self, host: str, zero: float, *workers: Worker) -> None:
        plan = Plan(run_id="r", host=host, scenario="s", scale="quick", seed=1, duration_s=PLAN_S,
                    phases=(), workers=workers)  # fmt: skip
        file = self.run / "hosts" / host / "plan.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(plan.model_dump_json())
        for worker in workers:
            inside = ["ip", "netns", "exec", self.names[host], *command(file, worker, zero)]
            self._processes[f"{host}/{worker.name}"] = subprocess.Popen(inside)

    def stop(self, name: str) -> None:
        self._processes[name].terminate()
        assert self._processes[name].wait(PATIENCE_S) == 0

    def events(self, host: str, kind: str) -> list[dict[str, Any]]:
        files = sorted((self.run / "hosts" / host).glob("events-*.jsonl"))
        return [e for file in files for e in read_lines(file).records if e["kind"] == kind]

    @staticmethod
    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    hosts = Hosts(tmp_path)
    try:
        hosts.up()
        yield hosts
    finally:
        hosts.down()


def worker(name: str, kind: str, spec: dict[str, Any]) -> Worker:
    return Worker(name=name, kind=kind, from_s=0, to_s=PLAN_S, spec=spec)


def watching(host: str, tell: str) -> Worker:
    keep = Keeping(
        device="d0", filters={f"udp and net {NETWORK}": 80}, ring_mib=4, around_s=AROUND_S,
        at_most=3, cap_mib=10, listen=Endpoint(address=host, port=CALLED),
    )  # fmt: skip
    told = (Endpoint(address=tell, port=CALLED),)
    spec = Watching(run="r", tell=told, keep=keep).model_dump(mode="json")
    return worker("capture", "capture", spec)


def test_both_hosts_keep_the_packets_around_what_one_of_them_hears(hosts: Hosts) -> None:
    zero = time.time() + 2
    common = {"name": "talk", "protocol": "rtp", "from_s": 0, "to_s": PLAN_S}
    sent = SenderStream(
        **common, signal=1, local=Endpoint(address=SENDER, port=0), ssrc=77,
        remote=Endpoint(address=RECEIVER, port=PORT),
    )  # fmt: skip
    heard = ReceiverStream(
        **common, local=Endpoint(address=RECEIVER, port=PORT), playout_ms=400,
        hears=(Heard(sender="talk", signal=1),),
    )  # fmt: skip
    hears = worker("ear", "native_receiver", {"streams": [heard.model_dump()]})
    sends = worker("mouth", "native_sender", {"streams": [sent.model_dump()]})
    hosts.start("near", zero, hears, watching(RECEIVER, SENDER))
    hosts.start("far", zero, sends, watching(SENDER, RECEIVER))
    wait_for(lambda: bool(hosts.events("near", "stream.heard")), PATIENCE_S)
    time.sleep(1.0)
    begin = time.time()
    hosts.ip("-n", hosts.names["far"], "route", "add", "unreachable", RECEIVER)
    time.sleep(0.3)
    hosts.ip("-n", hosts.names["far"], "route", "del", "unreachable", RECEIVER)
    end = time.time()
    wait_for(lambda: bool(hosts.events("near", "audio.silence")), PATIENCE_S)
    # By then the window is over, and the call to the sender's host has been said.
    wait_for(lambda: time.time() > end + AROUND_S + 1, PATIENCE_S)
    for name in ("near/ear", "far/mouth", "far/capture", "near/capture"):
        hosts.stop(name)
    [ended] = hosts.events("far", "sender.end")
    missing = ended["send_errors"]
    assert missing > 10
    captures = {one.host: one for one in read_packets(hosts.run).captures}
    assert captures.keys() == {"far", "near"}
    for host, capture in captures.items():
        [flow] = [flow for flow in capture.flows if flow.ssrc == 77]
        assert (flow.seen.lost, flow.seen.duplicates, flow.seen.reordered) == (missing, 0, 0)
        [gap] = [one for one in flow.seen.breaks if one.lost]
        assert gap.lost == missing and begin < gap.t < end + 0.5
        assert gap.pause_ms == pytest.approx(6 * missing, abs=60)
        [incident] = hosts.events(host, "capture.incident")
        assert incident["whole"] and "audio.silence" in incident["causes"]
        [last] = hosts.events(host, "capture.end")
        assert (last["missed"], last["left_out"]) == (0, 0) and last["packets"] > 0
        assert not any((hosts.run / "hosts" / host).glob(".ring*"))
    assert json.loads(read_packets(hosts.run).to_json())["captures"]
