"""Readiness against sockets that behave as a working engine's, and as one that lost the race."""

from __future__ import annotations

import ctypes
import http.server
import json
import os
import select
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from screamlab.errors import InfraError
from screamlab.paths import CHECKOUT
from screamlab.router.client import RouterClient
from screamlab.router.readiness import (
    ENGINE_PORTS,
    Look,
    check_ready,
    make_ready,
    note_start,
    probe,
)

pytestmark = pytest.mark.e2e

CLONE_NEWNET = 0x40000000
RTP = 40000
TIMES = {"timeout_s": 2.0, "drain_s": 0.5}
STATS = json.loads((CHECKOUT / "lab_tests/data/router_api.json").read_text())["stats_idle"]


def own_network() -> None:
    assert ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) == 0, os.strerror(
        ctypes.get_errno()
    )
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


@pytest.fixture
def inside() -> Iterator[Callable[..., Any]]:
    """Call a function in a process with a network of its own."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    with ProcessPoolExecutor(1, mp_context=get_context("fork"), initializer=own_network) as pool:
        yield lambda function, *args: pool.submit(function, *args).result(60)


class Canary:
    """Binds `ports` as the router's engine does; of those it reads all but `deaf`."""

    FIRST = "1"

    def __init__(self, ports: tuple[int, ...] = ENGINE_PORTS, deaf: tuple[int, ...] = ()) -> None:
        self.starts = 1
        self._deaf = set(deaf)
        self._sockets = {}
        for port in ports:
            self._sockets[port] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._sockets[port].bind(("0.0.0.0", port))
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            heard = [entry for port, entry in self._sockets.items() if port not in self._deaf]
            for ready in select.select(heard, [], [], 0.05)[0]:
                ready.recv(2048)

    def pid(self) -> int:
        return os.getpid()

    def invocation(self) -> str:
        return str(self.starts)

    def restart(self) -> None:
        self.starts += 1
        if self.starts == 3:
            self._deaf.clear()


class Api(http.server.BaseHTTPRequestHandler):
    """Answers with the counters of an idle router, captured."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(STATS).encode())

    def log_message(self, *_: object) -> None:
        pass


def api() -> RouterClient:
    server = http.server.HTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return RouterClient(f"http://127.0.0.1:{server.server_port}")


def probed(deaf: tuple[int, ...]) -> tuple[int, ...]:
    return probe(Canary(deaf=deaf).pid(), drain_s=0.5)


def made_ready(max_starts: int, record: Path) -> Any:
    return make_ready(Canary(deaf=(RTP,)), api(), max_starts=max_starts, record=record, **TIMES)


def checked(ports: tuple[int, ...], deaf: tuple[int, ...]) -> Any:
    return check_ready(Canary(ports, deaf), api(), **TIMES)


@pytest.mark.parametrize("deaf", [(), (RTP,), (9875, 16402)])
def test_ports_that_nobody_reads_are_seen(
    inside: Callable[..., Any], deaf: tuple[int, ...]
) -> None:
    assert inside(probed, deaf) == deaf


def test_races_are_restarted_counted_and_recorded(
    inside: Callable[..., Any], tmp_path: Path
) -> None:
    record = tmp_path / "starts.jsonl"
    done = inside(made_ready, 5, record)
    assert (done.starts, done.races) == (3, 2)
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    assert [line["outcome"] for line in lines] == ["race", "race", "ready"]
    assert lines[0]["stuck"] == [RTP]


def test_one_that_worked_and_hangs_now_is_restarted_and_not_counted(
    inside: Callable[..., Any], tmp_path: Path
) -> None:
    record = tmp_path / "starts.jsonl"
    note_start(record, Canary.FIRST, Look("ready"))
    done = inside(made_ready, 5, record)
    assert (done.starts, done.races, done.restarts) == (2, 1, 2)


def test_too_many_races_are_a_failure(inside: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(InfraError, match="2 starts of the router in a row"):
        inside(made_ready, 2, tmp_path / "starts.jsonl")


def test_a_look_alone_restarts_nothing(inside: Callable[..., Any]) -> None:
    assert inside(checked, ENGINE_PORTS, (RTP,)).races == 1


def test_an_api_without_an_engine_is_not_ready(inside: Callable[..., Any]) -> None:
    with pytest.raises(InfraError, match="does not listen on UDP 4010"):
        inside(checked, tuple(port for port in ENGINE_PORTS if port != 4010), ())
