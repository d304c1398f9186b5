"""What tells a working engine from a lost one, on captured text."""

import json
import shutil
from pathlib import Path

import pytest

from screamlab.observe.procfs import parse_udp_sockets
from screamlab.router.readiness import Look, note_start, queued_ports, receiver_finished

DATA = Path(__file__).parents[1] / "data"


@pytest.mark.parametrize(("start", "finished"), [("race", True), ("ready", False)])
def test_the_routers_own_log_tells_of_a_lost_receiver(tmp_path, start, finished):
    name = "screamrouter.cpp_audio_engine.network_audio_receiver.cpp.log"
    shutil.copy(DATA / f"router_receiver_{start}.log", tmp_path / name)
    assert receiver_finished(tmp_path) is finished


@pytest.mark.parametrize(("start", "stuck"), [("race", (40000,)), ("ready", ())])
def test_a_datagram_nobody_fetches_shows_in_the_queue(start, stuck):
    table = parse_udp_sockets((DATA / f"router_udp_{start}.txt").read_bytes())
    assert queued_ports(table) == stuck


def test_every_start_is_recorded_once(tmp_path):
    record = tmp_path / "starts.jsonl"
    race, ready = Look("race", 3.0, (40000,)), Look("ready", 2.5)
    for invocation, look in (("a", race), ("a", race), ("b", ready), ("b", ready)):
        note_start(record, invocation, look)
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    assert [(line["invocation"], line["outcome"], line["stuck"]) for line in lines] == [
        ("a", "race", [40000]),
        ("b", "ready", []),
    ]
