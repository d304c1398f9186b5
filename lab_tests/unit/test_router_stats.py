"""The router's counters as series, from captured answers of ScreamRouter 0.3.75."""

import copy
import json
import threading
import time
from pathlib import Path

import pytest

from screamlab.agent.context import WorkerContext
from screamlab.evidence.spool import Spool, read_lines
from screamlab.observe.router_stats import Freshness, Outages, flatten, run
from screamlab.router.client import RouterAnswerInvalid

CAPTURED = json.loads((Path(__file__).parents[1] / "data" / "router_api.json").read_text())
AUDIO = CAPTURED["stats_audio"]
ADDRESS = "198.19.40.11"


def worker(tmp_path, seconds=60.0):
    spool = Spool(tmp_path, writer="router-stats", host="router1")
    return WorkerContext(
        name="router-stats",
        host="router1",
        zero=time.time(),
        from_s=0.0,
        to_s=seconds,
        directory=tmp_path,
        spool=spool,
    )


def events(tmp_path):
    return read_lines(tmp_path / "events-router-stats.jsonl").records


def test_every_stream_sink_and_route_has_its_own_subject():
    series = dict(flatten(AUDIO))
    assert set(series) == {
        "router",
        "router/stream/198.19.40.11",
        "router/stream/198.19.40.12",
        "router/source/198.19.40.11/l16",
        "router/source/198.19.40.11/opus",
        "router/source/198.19.40.12/l16",
        "router/sink/l16",
        "router/sink/opus",
    }
    assert series[f"router/stream/{ADDRESS}"]["total_packets_in_stream"] == 242
    assert series["router/sink/l16"]["total_input_streams"] == 2
    assert series["router/sink/l16"]["webrtc_listeners_count"] == 0
    lane = series[f"router/source/{ADDRESS}/l16"]
    assert lane["chunks_pushed"] > 0
    assert lane["lane_ready_total_received"] > 0
    assert series["router"]["timeshift_inbound_buffer_size"] == 0


def test_values_are_plain_numbers():
    for _, values in flatten(AUDIO):
        assert values
        assert all(isinstance(value, int | float) for value in values.values())


def test_an_idle_router_is_no_error():
    freshness = Freshness()
    for now in range(0, 60, 10):
        freshness.check(copy.deepcopy(CAPTURED["stats_idle"]), float(now))


def test_counters_that_vanish_are_an_error():
    freshness = Freshness()
    freshness.check(AUDIO, 0.0)
    with pytest.raises(RouterAnswerInvalid, match="empty"):
        freshness.check(CAPTURED["stats_idle"], 1.0)


def test_counters_that_stand_still_while_audio_flows_are_an_error():
    freshness = Freshness()
    freshness.check(AUDIO, 0.0)
    freshness.check(copy.deepcopy(AUDIO), 4.0)
    with pytest.raises(RouterAnswerInvalid, match="stands still"):
        freshness.check(copy.deepcopy(AUDIO), 5.0)


def test_a_row_of_errors_is_one_event_and_one_recovery(tmp_path):
    outages = Outages(worker(tmp_path))
    for error in ("first", "second", "third"):
        outages.failed(error)
    outages.answered()
    outages.answered()
    assert [(event["kind"], event["count"]) for event in events(tmp_path)] == [
        ("router.api_error", 1),
        ("router.api_recovered", 3),
    ]
    assert events(tmp_path)[0]["error"] == "first"


def test_a_router_that_is_gone_is_told_and_the_worker_ends_in_time(tmp_path):
    context = worker(tmp_path, seconds=0.3)
    spec = {"url": "https://127.0.0.1:9", "unit": "no-such.service", "interval_s": 0.1}
    thread = threading.Thread(target=run, args=(spec, context))
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert [event["kind"] for event in events(tmp_path)] == ["router.api_error"] * 2
    series = read_lines(tmp_path / "series-router-stats.jsonl").records
    assert {line["values"]["api_ok"] for line in series} == {0}
