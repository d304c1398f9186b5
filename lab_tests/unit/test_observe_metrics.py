"""A running worker is scraped for real, and its answer parsed by prometheus-client's own parser."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
import yaml
from jinja2 import Environment, StrictUndefined
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from screamlab.agent.context import WorkerContext
from screamlab.evidence.spool import Spool, read_lines
from screamlab.inventory import load_hosts
from screamlab.observe import metrics
from screamlab.paths import CHECKOUT
from screamlab.scenario.compile import compile_scenario
from screamlab.scenario.model import find_scenario, load_scenario

ADDRESS, OTHER = "127.0.0.7", "127.0.0.1"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
DASHBOARD = CHECKOUT / "roles/prometheus/files/screamlab-dashboard.json"

Found = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind((ADDRESS, 0))
        return int(listener.getsockname()[1])


def scrape(port: int, address: str = ADDRESS) -> Found:
    """Every sample by name and the labels that tell it apart."""
    request = Request(f"http://{address}:{port}/metrics", headers={"Accept": OPENMETRICS})
    with urlopen(request, timeout=5) as answer:
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        text = answer.read().decode()
    found: Found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            assert (sample.labels.pop("host"), sample.labels.pop("run")) == ("h1", "r1")
            found[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
    return found


@contextmanager
def working(folder: Path, **spec: Any) -> Iterator[tuple[Spool, int]]:
    """A worker at work on a spool, and its port."""
    spool = Spool(folder, writer="sampler", host="h1")
    context = WorkerContext("metrics", "h1", time.time() - 5, 0.0, 3600.0, spool, folder)
    port = free_port()
    phases = [
        {"name": "ramp", "kind": "ramp", "from_s": 0.0, "to_s": 1.0},
        {"name": "hold", "kind": "hold", "from_s": 1.0, "to_s": 3600.0},
    ]
    given = {"address": ADDRESS, "port": port, "run_id": "r1", "phases": phases, **spec}
    worker = threading.Thread(target=metrics.run, args=(given, context))
    worker.start()
    try:
        yield spool, port
    finally:
        context.stopping.set()
        worker.join(10)
        assert not worker.is_alive()


def until_there(port: int) -> Found:
    deadline = time.monotonic() + 10
    while True:
        try:
            return scrape(port)
        except URLError:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_what_is_written_is_seen_and_what_is_over_is_not(tmp_path: Path) -> None:
    with working(tmp_path) as (spool, port):
        until_there(port)
        spool.series("old", {"cpu_percent": 1.0}, t=time.time() - 2 * metrics.STALE_S)
        spool.series("process/router", {"cpu_percent": 1.0, "rss.bytes": 7.0})
        spool.series("process/router", {"cpu_percent": 2.5, "uss_bytes": float("nan")})
        spool.event("audio.click", "stream/a/b")
        spool.event("audio.click", "stream/a/b")
        found = scrape(port)
        router = (("subject", "process/router"),)
        assert found["screamlab_cpu_percent", router] == 2.5
        assert found["screamlab_rss_bytes", router] == 7.0
        assert ("screamlab_cpu_percent", (("subject", "old"),)) not in found
        assert not any(name == "screamlab_uss_bytes" for name, _ in found)
        assert found["screamlab_events_total", (("kind", "audio.click"),)] == 2
        assert found["screamlab_phase", (("kind", "hold"), ("phase", "hold"))] == 1
        assert found["screamlab_phase", (("kind", "ramp"), ("phase", "ramp"))] == 0
        assert 5 <= found["screamlab_run_seconds", ()] < 60
        spool.event("audio.click", "stream/a/b")
        assert scrape(port)["screamlab_events_total", (("kind", "audio.click"),)] == 3


def test_it_listens_at_its_address_alone_and_not_after_its_end(tmp_path: Path) -> None:
    with working(tmp_path) as (_, port):
        until_there(port)
        with pytest.raises(URLError):
            scrape(port, OTHER)
    with pytest.raises(URLError):
        scrape(port)


def test_of_a_long_file_the_end_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "TAIL_BYTES", 300)
    with working(tmp_path) as (spool, port):
        for number in range(1000):
            spool.series("host", {"load": float(number)})
        assert until_there(port)["screamlab_load", (("subject", "host"),)] == 999


def test_an_address_that_is_not_the_hosts_is_told_and_ends_nothing(tmp_path: Path) -> None:
    with working(tmp_path, address="192.0.2.1"):
        deadline = time.monotonic() + 10
        events: list[dict[str, Any]] = []
        while not events and time.monotonic() < deadline:
            events = read_lines(tmp_path / "events-sampler.jsonl").records
            time.sleep(0.02)
    (event,) = events
    assert event["kind"] == "metrics.refused" and event["subject"].startswith("192.0.2.1:")


def test_hosts_show_their_part_at_the_address_they_are_reached_by() -> None:
    hosts = load_hosts(CHECKOUT / "inventory/local")
    file = find_scenario("tc-stress-001", CHECKOUT / "lab_tests/scenarios")
    plans = compile_scenario(load_scenario(file, "quick"), hosts, run_id="r1", seed=1).plans
    reached = {host.name: host.ssh.address for host in hosts}
    for name, plan in plans.items():
        (worker,) = (worker for worker in plan.workers if worker.kind == "metrics")
        assert (worker.spec["address"], worker.spec["port"]) == (reached[name], 9466)
        assert worker.spec["phases"][-1]["to_s"] == worker.to_s == plan.duration_s


def test_the_dashboard_asks_for_series_that_there_are() -> None:
    told = json.loads(DASHBOARD.read_text())
    asked = {
        name
        for panel in told["panels"]
        for target in panel.get("targets", ())
        for name in re.findall(r"screamlab_(\w+)", target["expr"])
    }
    source = "".join(
        path.read_text()
        for folder in ("observe", "load", "signal", "impair")
        for path in (CHECKOUT / "screamlab" / folder).rglob("*.py")
    )
    own = {"events_total", "phase", "run_seconds"}
    assert asked and {name for name in asked - own if name not in source} == set()


def rendered(targets: list[dict[str, Any]]) -> str:
    """What the role prometheus writes for its defaults and these targets."""
    role = CHECKOUT / "roles/prometheus"
    given = yaml.safe_load((role / "defaults/main.yml").read_text())
    template = (role / "templates/prometheus.yml.j2").read_text()
    environment = Environment(trim_blocks=True, undefined=StrictUndefined)
    values = {**given, "ansible_managed": "managed", "prometheus_targets": targets}
    return environment.from_string(template).render(values)


def test_every_host_that_shows_something_is_asked(tmp_path: Path) -> None:
    hostvars = {
        "router1": {"ansible_host": "192.0.2.10", "screamlab_metrics": {"port": 9466}},
        "client1": {"screamlab_metrics": {"port": 9, "address": "2001:db8::1"}},
        "client2": {"screamlab_metrics": {"port": 9}},
        "wan": {"ansible_host": "192.0.2.2"},
    }
    filters = runpy.run_path(str(CHECKOUT / "filter_plugins/metrics_targets.py"))
    text = rendered(filters["metrics_targets"](list(hostvars), hostvars))
    (job,) = yaml.safe_load(text)["scrape_configs"]
    assert {one["labels"]["host"]: one["targets"] for one in job["static_configs"]} == {
        "router1": ["192.0.2.10:9466"], "client1": ["[2001:db8::1]:9"], "client2": ["client2:9"],
    }  # fmt: skip
    if (promtool := shutil.which("promtool")) is not None:
        (tmp_path / "prometheus.yml").write_text(text)
        done = subprocess.run(
            [promtool, "check", "config", tmp_path / "prometheus.yml"],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
