"""SIP devices with the real programs: Kamailio on one host, sipp and baresip on another.

The router is a receiver of the lab's own, where the registrar says that the router takes RTP.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jinja2
import pytest

from screamlab import paths
from screamlab.agent.workers import command
from screamlab.load.sip.model import SipDevice
from screamlab.scenario.plan import Endpoint, Heard, Plan, ReceiverStream, SenderStream, Worker

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.light,
    pytest.mark.skipif(os.geteuid() != 0, reason="hosts in namespaces need root"),
]

PATIENCE_S = 40.0
LEAD_S = 3.0
ROUTER, PHONE, DESK = "198.19.71.10", "198.19.71.32", "198.19.71.11"
TEMPLATE = paths.CHECKOUT / "roles/sip_registrar/templates/kamailio.cfg.j2"
SETTINGS = {
    "address": ROUTER,
    "port": 5060,
    "rtp_port": 40000,
    "realm": "lab",
    "children": 1,
    "ping_interval_s": 1,
    "ping_timeout_s": 2,
    "nonce_expire_s": 300,
    "accounts": [{"user": name, "password": f"secret-{name}"} for name in ("a", "b", "c", "phone")],
}

Record = dict[str, Any]


class Hosts:
    """Two network namespaces joined by a link, and what runs in them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.router, self.client = f"sipt{os.getpid()}r", f"sipt{os.getpid()}c"
        self._processes: list[subprocess.Popen[bytes]] = []
        self._zero = 0.0

    def up(self) -> None:
        ends = ((self.router, "r0", [ROUTER]), (self.client, "c0", [DESK, PHONE]))
        for namespace, _, _ in ends:
            ip("netns", "add", namespace)
        ip(
            "-n",
            self.router,
            "link",
            "add",
            "r0",
            "type",
            "veth",
            "peer",
            "c0",
            "netns",
            self.client,
        )
        for namespace, device, addresses in ends:
            for address in addresses:
                ip("-n", namespace, "address", "add", f"{address}/24", "dev", device)
            for name in ("lo", device):
                ip("-n", namespace, "link", "set", name, "up")

    def down(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
        for namespace in (self.router, self.client):
            with contextlib.suppress(subprocess.CalledProcessError):
                ip("netns", "del", namespace)

    def run(self, namespace: str, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(["ip", "netns", "exec", namespace, *arguments])
        self._processes.append(process)
        return process

    def register(self) -> Path:
        """Start the registrar as its role configures it; returns its socket."""
        environment = jinja2.Environment(trim_blocks=True, keep_trailing_newline=True)
        environment.filters["hash"] = lambda text, kind: hashlib.new(
            kind, text.encode()
        ).hexdigest()
        values = {"ansible_managed": "", "__sip_registrar_set": SETTINGS}
        rpc = self.folder / "rpc.sock"
        text = environment.from_string(TEMPLATE.read_text()).render(
            **values, __sip_registrar_rpc=str(rpc)
        )
        config = self.folder / "registrar.cfg"
        config.write_text(text)
        kamailio = ["kamailio", "-DD", "-E", "-m", "32", "-f", str(config), "-Y", str(self.folder)]
        self.run(self.router, kamailio)
        wait_for(rpc.exists, "the registrar's start")
        return rpc

    def play(self, namespace: str, *workers: Worker) -> list[subprocess.Popen[bytes]]:
        """Run workers as the agent does; all of a test share one clock."""
        self._zero = self._zero or time.time() + LEAD_S
        plan = Plan(
            run_id="sip",
            host=namespace,
            scenario="sip",
            scale="quick",
            seed=1,
            duration_s=60.0,
            phases=(),
            workers=workers,
        )
        path = self.folder / f"plan-{namespace}.json"
        path.write_text(plan.model_dump_json())
        return [self.run(namespace, command(path, worker, self._zero)) for worker in workers]

    def records(self, pattern: str) -> list[Record]:
        lines = [
            line
            for path in self.folder.glob(pattern)
            for line in path.read_text().splitlines(keepends=True)
            if line.endswith("\n")
        ]
        return [json.loads(line) for line in lines]

    def events(self, kind: str, subject: str) -> list[Record]:
        found = self.records("events-*.jsonl")
        return [one for one in found if one["kind"] == kind and one["subject"] == subject]

    def values(self, subject: str) -> list[Record]:
        return [r["values"] for r in self.records("series-*.jsonl") if r["subject"] == subject]

    def last(self, subject: str) -> Record:
        values = self.values(subject)
        return values[-1] if values else {}


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    hosts = Hosts(tmp_path)
    try:
        hosts.up()
        yield hosts
    finally:
        hosts.down()


def digest(text: str, kind: str) -> str:
    """Ansible's filter ``hash``."""
    return hashlib.new(kind, text.encode()).hexdigest()


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def wait_for(condition: Callable[[], object], what: str) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up, f"{what} did not come"
        time.sleep(0.1)


def device(name: str, **fields: Any) -> SipDevice:
    common = {"user": name, "password": f"secret-{name}", "address": DESK, "domain": "lab"}
    window = {"from_s": 0.5, "to_s": 9.0, "refresh_s": 2.0}
    registrar = Endpoint(address=ROUTER, port=5060)
    return SipDevice(name=name, registrar=registrar, **{**common, **window, **fields})


def calling() -> SipDevice:
    media = SenderStream(
        name="phone",
        protocol="rtp",
        signal=3,
        local=Endpoint(address=PHONE, port=0),
        # Not where the answer says: the audio has to follow the answer.
        remote=Endpoint(address=ROUTER, port=40002),
        ssrc=77,
        from_s=2.0,
        to_s=7.8,
    )
    return device("phone", address=PHONE, media=media)


def worker(kind: str, devices: Sequence[SipDevice], to_s: float = 9.0) -> Worker:
    spec = {"devices": [one.model_dump(mode="json") for one in devices]}
    return Worker(name=kind.replace("_", "-"), kind=kind, from_s=0.0, to_s=to_s, spec=spec)


def sampler(rpc: Path) -> Worker:
    spec = {"socket": str(rpc), "interval_s": 0.2}
    return Worker(name="registrar", kind="sip_registrar", from_s=0.0, to_s=50.0, spec=spec)


def ear() -> Worker:
    stream = ReceiverStream(
        name="ear",
        protocol="rtp",
        local=Endpoint(address=ROUTER, port=40000),
        hears=(Heard(sender="phone", signal=3),),
        payload_type=127,
        playout_ms=400.0,
        from_s=0.0,
        to_s=9.0,
    )
    spec = {"streams": [stream.model_dump(mode="json")]}
    return Worker(name="ear", kind="native_receiver", from_s=0.0, to_s=9.0, spec=spec)


def test_devices_register_call_and_leave(hosts: Hosts) -> None:
    rpc = hosts.register()
    wrong = device("c").model_copy(update={"password": "guessed"})
    hosts.play(hosts.router, sampler(rpc), ear())
    (sipp,) = hosts.play(
        hosts.client, worker("sipp_devices", [device("a"), device("b"), wrong, calling()])
    )
    assert sipp.wait(PATIENCE_S) == 0
    for name in ("a", "b", "phone"):
        assert len(hosts.events("sip.registered", f"sip/{name}")) == 1
        assert len(hosts.events("sip.unregistered", f"sip/{name}")) == 1
    (failed,) = hosts.events("worker.failed", "sip/c")
    assert "refuses the credentials of user c" in failed["error"]
    assert not [r for n in ("a", "b", "phone") for r in hosts.events("worker.failed", f"sip/{n}")]
    (answered,) = hosts.events("sip.answered", "sip/phone")
    assert (answered["address"], answered["port"], answered["payload_type"]) == (ROUTER, 40000, 127)
    assert [value["heard"] for value in hosts.values("stream/ear/phone")].count(1) >= 4
    assert max(value["contacts"] for value in hosts.values("sip/registrar")) == 3
    present = hosts.last(f"sip/presence-{hosts.client}-1")
    assert (present["successful_call"], present["failed_call"]) == (2, 1)
    assert present["auto_answered"] > 0
    assert present["refresh_under_5ms"] > 0


def test_devices_that_die_are_dropped_and_told(hosts: Hosts) -> None:
    rpc = hosts.register()
    hosts.play(hosts.router, sampler(rpc))
    devices = [device(name, to_s=50.0) for name in ("a", "b")]
    (sipp,) = hosts.play(hosts.client, worker("sipp_devices", devices, to_s=50.0))
    wait_for(lambda: hosts.last("sip/registrar").get("contacts") == 2, "registration")
    (child,) = children(sipp.pid, "sipp")
    os.kill(child, 9)
    wait_for(lambda: hosts.events("worker.failed", "sip/a"), "the end of sipp")
    (failed,) = hosts.events("worker.failed", "sip/b")
    assert "by signal 9" in failed["error"]
    wait_for(lambda: hosts.last("sip/registrar").get("contacts_dropped") == 2, "the drop")
    assert hosts.last("sip/registrar")["contacts"] == 0


def test_a_soft_phone_calls_from_its_own_address(hosts: Hosts) -> None:
    hosts.register()
    wrong = device("c", to_s=4.0).model_copy(update={"password": "guessed"})
    hosts.play(hosts.router, ear())
    (baresip,) = hosts.play(hosts.client, worker("baresip_devices", [calling(), wrong]))
    wait_for(lambda: hosts.events("sender.start", "sender/phone"), "audio")
    (source,) = sources(hosts.router, 40000)
    assert source == PHONE
    assert baresip.wait(PATIENCE_S) == 0
    assert len(hosts.events("sip.unregistered", "sip/phone")) == 1
    assert [value["heard"] for value in hosts.values("stream/ear/phone")].count(1) >= 4
    (failed,) = hosts.events("worker.failed", "sip/c")
    assert "refuses the credentials of user c" in failed["error"]
    rules = ["ip", "-n", hosts.client, "-json", "rule"]
    assert "uidrange" not in subprocess.run(rules, capture_output=True, text=True).stdout


def test_a_codec_that_the_router_does_not_take(hosts: Hosts) -> None:
    hosts.register()
    ours = (paths.CHECKOUT / "screamlab/load/sip/call.xml").read_text()
    own = ours.replace("[encoding]", "PCMU/8000")
    phone = calling().model_copy(update={"scenario_xml": own})
    hosts.play(hosts.client, worker("sipp_devices", [phone]))
    wait_for(lambda: hosts.events("worker.failed", "sip/phone"), "the refusal")
    (failed,) = hosts.events("worker.failed", "sip/phone")
    assert "INVITE was answered 488 Not Acceptable Here" in failed["error"]


def test_nobody_is_registered_where_nobody_listens(hosts: Hosts) -> None:
    hosts.play(hosts.client, worker("sipp_devices", [device("a", to_s=4.0)], to_s=4.0))
    wait_for(lambda: hosts.events("worker.failed", "sip/a"), "the failure")
    (failed,) = hosts.events("worker.failed", "sip/a")
    assert failed["error"] == f"a: nobody answers its REGISTER at {ROUTER}:5060"


def children(pid: int, name: str) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(one) for one in listed if Path(f"/proc/{one}/comm").read_text().strip() == name]


def sources(namespace: str, port: int) -> set[str]:
    """Who sends to a UDP port, seen for two seconds on the wire."""
    script = (
        "import socket, struct, time\n"
        "tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.ntohs(0x800))\n"
        "tap.settimeout(0.5)\n"
        "seen, end = set(), time.time() + 2\n"
        "while time.time() < end:\n"
        "    try: packet = tap.recv(64)\n"
        "    except TimeoutError: continue\n"
        f"    if packet[9] == 17 and struct.unpack('!H', packet[22:24])[0] == {port}:\n"
        "        seen.add(socket.inet_ntoa(packet[12:16]))\n"
        "print(*seen)"
    )
    done = subprocess.run(
        ["ip", "netns", "exec", namespace, "python3", "-c", script],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())
