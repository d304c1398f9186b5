"""Listeners by WebRTC and the router's own page, against the real ScreamRouter in a namespace."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from screamlab.agent.workers import command
from screamlab.paths import CHECKOUT
from screamlab.python_site import OWN, python_site
from screamlab.scenario.plan import Endpoint, Heard, Plan, ReceiverStream, SenderStream, Worker

pytestmark = [pytest.mark.e2e, pytest.mark.light]

VERSION = "0.3.75"
CACHE = Path.home() / ".cache" / "screamlab" / "python"
LOCK = CHECKOUT / "requirements.lock"
ROUTER = "198.18.72.1"
SENDER = "198.18.72.11"
URL = f"https://{ROUTER}:8443"
PATIENCE_S = 40.0
DURATION_S = 600.0
STALL_S = 0.5
FORGOTTEN_S = 30.0
"""The router drops a listener 15 s after its last heartbeat, and looks every 5 s."""
LEFT_S = 10.0
"""Too short for being forgotten: a listener that is gone within it has taken its leave."""

CONFIGURE = """
import sys
from screamlab.router.client import RouterClient
from screamlab.router.topology import Route, Source, wait_until_applied
source, route = Source(name="s0", address=sys.argv[2]), Route(name="r0", source="s0", sink="web")
sink = {"ip": "127.0.0.1", "port": 1234, "protocol": "web_receiver", "enabled": True}
with RouterClient(sys.argv[1]) as client:
    for kind, name, fields in (
        ("sources", "lab-s0", source.fields()),
        ("sinks", "lab-web", sink),
        ("routes", "lab-r0", route.fields()),
    ):
        client.add(kind, {"name": name, "config_id": name, **fields})
    wait_until_applied(client, {"lab-web": 1}, timeout_s=30)
"""
# As on the lab's hosts there is no name server: each listener has the router look up a STUN server,
# and one that does not answer holds it up until it refuses listeners.
NAMELESS = """exec unshare --mount sh -c 'mount --bind /dev/null /etc/resolv.conf
exec "$0" -m screamrouter' "$0"
"""
LOOK = """
import sys
from screamlab.router.client import RouterClient
from screamlab.router.readiness import judge_start
class Running:
    def pid(self): return int(sys.argv[1])
with RouterClient(sys.argv[2]) as client:
    print(judge_start(Running(), client, timeout_s=60, drain_s=5).outcome)
"""
LISTENERS = """
import sys
from screamlab.router.client import RouterClient
with RouterClient(sys.argv[1]) as client:
    print(sum(len(sink["webrtc_listeners"]) for sink in client.stats()["sink_stats"]))
"""
CHURN = """
import asyncio, sys
from screamlab.load.webrtc.light import LightSession
async def churn():
    session = LightSession(sys.argv[1], "lab-web", "198.18.72.190")
    for _ in range(5):
        print(await session.open())
        await session.close()
asyncio.run(churn())
"""

Record = dict[str, Any]


@dataclass
class Place:
    """A namespace with a router and a sender in it, and the packages that listeners need."""

    namespace: str
    packages: Path
    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    zero: float = field(default_factory=time.time)

    def start(self, *words: str, **environment: str) -> subprocess.Popen[bytes]:
        """A process in the namespace; what it says goes to its own log."""
        inside = ["ip", "netns", "exec", self.namespace, *words]
        with (self.folder / f"process-{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                inside, stdout=log, stderr=log, env={**os.environ, **environment}
            )
        self.processes.append(process)
        return process

    def python(self, *arguments: str) -> str:
        """What the lab's Python prints in the namespace."""
        inside = ["ip", "netns", "exec", self.namespace, sys.executable, *arguments]
        environment = {**os.environ, "PYTHONPATH": str(self.packages)}
        done = subprocess.run(inside, env=environment, cwd=CHECKOUT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def worker(self, folder: Path, worker: Worker) -> subprocess.Popen[bytes]:
        """A worker as the agent runs it."""
        plan = Plan(
            run_id="webrtc",
            host="h",
            scenario="webrtc",
            scale="quick",
            seed=1,
            duration_s=DURATION_S,
            phases=(),
            workers=(worker,),
        )
        path = folder / f"plan-{worker.name}.json"
        path.write_text(plan.model_dump_json())
        return self.start(*command(path, worker, self.zero), PYTHONPATH=str(self.packages))

    def listeners(self) -> int:
        """How many listeners the router has."""
        return int(self.python("-c", LISTENERS, URL))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    packages = tmp_path_factory.mktemp("listening")
    _unpack(["aiortc", "playwright"], packages)
    name = f"rtc-test{os.getpid()}"
    place = Place(name, packages, tmp_path_factory.mktemp("place"))
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        for words in (
            "link set lo up",
            "link add data0 type veth peer name data1",
            f"addr add {ROUTER}/24 dev data0",
            f"addr add {SENDER}/24 dev data0",
            "link set data0 up",
            "link set data1 up",
            "route add default dev data0",
        ):
            subprocess.run(["ip", "-n", name, *words.split()], check=True)
        _start_router(place, tmp_path_factory.mktemp("router"))
        place.python("-c", CONFIGURE, URL, SENDER)
        yield place
    finally:
        for process in reversed(place.processes):
            _end(process)
        subprocess.run(["ip", "netns", "del", name], check=True)


@pytest.fixture(scope="module")
def sender(place: Place) -> psutil.Process:
    """The process of a sender that plays all the time."""
    stream = SenderStream(
        name="s0",
        protocol="rtp",
        signal=0,
        local=Endpoint(address=SENDER, port=0),
        remote=Endpoint(address=ROUTER, port=40000),
        ssrc=72,
        from_s=0.0,
        to_s=DURATION_S,
    )
    spec = {"streams": [stream.model_dump()]}
    worker = Worker(name="tx", kind="native_sender", from_s=0.0, to_s=DURATION_S, spec=spec)
    return psutil.Process(place.worker(place.folder, worker).pid)


class Listening:
    """A worker with listeners, and what it has written."""

    def __init__(self, place: Place, folder: Path, kind: str, *streams: ReceiverStream) -> None:
        self._folder = folder
        spec = {"streams": [stream.model_dump() for stream in streams], "router": URL}
        worker = Worker(name="rx", kind=kind, from_s=0.0, to_s=DURATION_S, spec=spec)
        self.process = place.worker(folder, worker)

    def events(self, kind: str) -> list[Record]:
        return [one for one in self._read("events") if one["kind"].startswith(kind)]

    def last(self, subject: str) -> Record:
        """The newest value of each metric; a second without sound has not all of them."""
        newest: Record = {}
        for one in self._read("series"):
            if one["subject"] == subject:
                newest.update(one["values"])
        return newest

    def heard(self, *names: str) -> bool:
        """Whether each was heard in the newest two seconds."""
        series = self._read("series")
        newest = [
            [one["values"]["heard"] for one in series if one["subject"] == f"stream/{name}/s0"]
            for name in names
        ]
        return all(seconds[-2:] == [1, 1] for seconds in newest)

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        wait_for(condition, what, lambda: self._read("events"))

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(PATIENCE_S) == 0

    def _read(self, kind: str) -> list[Record]:
        path = self._folder / f"{kind}-rx.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def listener(number: int, name: str, sink: str = "web") -> ReceiverStream:
    return ReceiverStream(
        name=name,
        protocol="webrtc",
        codec="opus",
        local=Endpoint(address=f"198.18.72.{100 + number}", port=0),
        hears=(Heard(sender="s0", signal=0),),
        lossy=True,
        sink=sink,
        from_s=0.0,
        to_s=DURATION_S,
    )


def wait_for(
    condition: Callable[[], bool],
    what: str,
    said: Callable[[], Any] = lambda: "",
    patience_s: float = PATIENCE_S,
) -> None:
    give_up = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < give_up, f"{what} did not happen: {said()}"
        time.sleep(0.2)


@pytest.mark.parametrize("kind", ["chromium_receiver", "aiortc_receiver"])
def test_listeners_hear_a_stall_and_leave_nothing_behind(
    place: Place, sender: psutil.Process, tmp_path: Path, kind: str
) -> None:
    wanted = [listener(number, f"l{number}") for number in range(2)]
    listening = Listening(place, tmp_path, kind, *wanted, listener(9, "lost", "nowhere"))
    listening.wait_for(lambda: listening.heard("l0", "l1"), "steady sound")
    assert place.listeners() == 2, "listeners are told apart by their forwarded addresses"
    connected = listening.events("webrtc.connected")
    assert {one["subject"] for one in connected} == {"webrtc/l0", "webrtc/l1"}
    assert all(0 < one["connect_ms"] < 15000 for one in connected)
    assert len(listening.events("webrtc.audio")) == 2

    sender.suspend()
    time.sleep(STALL_S)
    sender.resume()

    def gap_ms() -> float:
        gaps = (*listening.events("audio.silence"), *listening.events("audio.dropout"))
        return max((one["ms"] for one in gaps if one["subject"] == "stream/l0/s0"), default=0.0)

    listening.wait_for(lambda: gap_ms() > 0.5 * STALL_S * 1000, "word of the stall")
    listening.wait_for(lambda: listening.heard("l0", "l1"), "steady sound again")
    listening.stop()

    (failed,) = listening.events("worker.failed")
    assert failed["subject"] == "receiver/lost"
    assert failed["error"] == "the router has no sink 'lab-nowhere'"
    assert listening.last("stream/l0/s0")["level_db"] == pytest.approx(0, abs=1)
    figures = listening.last("webrtc/l0")
    assert figures["packets"] > 100
    assert figures["bytes"] > 10_000
    if kind == "chromium_receiver":
        assert 5 < figures["jitter_buffer_ms"] < 1000
        assert figures["concealed_samples"] >= 0
    wait_for(lambda: place.listeners() == 0, "taking leave", patience_s=LEFT_S)


def test_the_routers_own_page_is_opened_plays_and_is_heard(
    place: Place, sender: psutil.Process, tmp_path: Path
) -> None:
    listening = Listening(place, tmp_path, "web_page", listener(0, "person"))
    listening.wait_for(lambda: listening.heard("person"), "steady sound")
    listening.stop()

    opened, playing, heard = listening.events("page.")[:3]
    assert [one["kind"] for one in (opened, playing, heard)] == [
        "page.opened",
        "page.playing",
        "page.heard",
    ]
    assert 0 < opened["ms"] < playing["ms"] < heard["ms"]
    picture = (tmp_path / "page-person.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    # A page that is closed says nothing to the router.
    wait_for(lambda: place.listeners() == 0, "forgetting", patience_s=FORGOTTEN_S)


def test_a_killed_listener_is_forgotten_and_others_come_and_go(
    place: Place, sender: psutil.Process, tmp_path: Path
) -> None:
    listening = Listening(place, tmp_path, "aiortc_receiver", listener(0, "killed"))
    listening.wait_for(lambda: listening.heard("killed"), "steady sound")
    listening.process.send_signal(signal.SIGKILL)
    assert place.listeners() == 1

    connect_ms = [float(line) for line in place.python("-c", CHURN, URL).splitlines()]
    assert len(connect_ms) == 5
    assert all(0 < ms < 15000 for ms in connect_ms)
    wait_for(lambda: place.listeners() == 0, "forgetting", patience_s=FORGOTTEN_S)


def _unpack(requirements: list[str], folder: Path) -> None:
    site = python_site(requirements, OWN, cache=CACHE, constraints=LOCK)
    with tarfile.open(site.archive) as archive:
        archive.extractall(folder, filter="tar")


def _start_router(place: Place, state: Path) -> None:
    """Start it until no receiver was lost on the way."""
    packages = state / "packages"
    _unpack([f"screamrouter=={VERSION}"], packages)
    (state / "pulse").mkdir()
    (state / "screamrouter").symlink_to("/nonexistent/screamrouter")
    files = {"CONFIG_PATH": "c.yaml", "EQUALIZER_CONFIG_PATH": "e.yaml", "LOGS_DIR": "logs"}
    files |= {"PREFERENCES_PATH": "p.json", "CERTIFICATE": "c.pem", "CERTIFICATE_KEY": "k.pem"}
    environment = {
        **{variable: str(state / name) for variable, name in files.items()},
        "API_PORT": "8443",
        "FORWARDED_ALLOW_IPS": "*",
        "PYTHONPATH": str(packages),
        "SCREAMROUTER_SKIP_INSTANCE_CHECK": "True",
        "XDG_RUNTIME_DIR": str(state),
    }
    for _ in range(6):
        router = place.start("sh", "-c", NAMELESS, sys.executable, **environment)
        outcome = place.python("-c", LOOK, str(router.pid), URL).strip()
        if outcome == "ready":
            return
        _end(router)
        assert outcome == "race", outcome
    pytest.fail("six starts in a row lost the start race")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
