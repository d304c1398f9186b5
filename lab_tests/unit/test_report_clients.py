"""What the report tells of SIP devices, listeners by WebRTC, and of a router that hung."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from screamlab.judge.canary import ROUTER, CanaryRun
from screamlab.judge.view import Run
from screamlab.report.clients import listeners, pictures, response_times, sip_failures
from screamlab.report.hangs import hangs

DATA = Path(__file__).parents[1] / "data"


def tell(run: CanaryRun, subject: str, metric: str, *values: float) -> None:
    run.data["client1", subject, metric] = np.arange(float(len(values))), np.array(values)


def test_response_times_of_all_devices_are_one_histogram() -> None:
    run = CanaryRun()
    tell(run, "sip/one", "register_under_5ms", 1, 2)
    tell(run, "sip/two", "register_under_5ms", 1)
    tell(run, "sip/two", "register_under_10ms", 4)
    tell(run, "sip/two", "register_from_5000ms", 1)
    tell(run, "sip/two", "register_max_ms", 6000)
    tell(run, "sip/two", "bye_under_10ms", 1)
    bye, register = response_times(Run(run))
    assert (register.request, register.bounds) == ("register", (5, 10))
    assert (register.counts, register.slowest_ms) == ((3, 4, 1), 6000)
    assert (bye.counts, bye.slowest_ms) == ((0, 1, 0), 0)


def test_where_nobody_speaks_sip_or_webrtc_nothing_is_told() -> None:
    run = Run(CanaryRun())
    assert response_times(run) == listeners(run) == sip_failures(run) == hangs(run) == []


def test_a_listener_tells_its_connections_and_why_they_ended() -> None:
    run = CanaryRun()
    run.event(1.0, "client1", "webrtc.connected", "webrtc/web-01", connect_ms=120.0)
    run.event(1.2, "client1", "webrtc.audio", "webrtc/web-01", first_audio_ms=300.0)
    run.event(9.0, "client1", "webrtc.disconnected", "webrtc/web-01", reason="ICE failed")
    tell(run, "webrtc/web-01", "packets", 10, 800)
    tell(run, "webrtc/web-01", "jitter_buffer_ms", 40, 60)
    (web,) = listeners(Run(run))
    assert (web.connections, web.connect_ms, web.first_audio_ms) == (1, 120, 300)
    assert (web.packets, web.lost, web.jitter_buffer_ms) == (800, None, 50)
    assert web.error == "ICE failed"


def test_a_picture_of_a_page_is_part_of_the_report(tmp_path: Path) -> None:
    run = CanaryRun()
    run.path = tmp_path
    (tmp_path / "hosts" / "client1").mkdir(parents=True)
    (tmp_path / "hosts" / "client1" / "page-web-01.png").write_bytes(b"png")
    (picture,) = pictures(Run(run))
    assert picture.name == "web-01 on client1"
    assert picture.url == "data:image/png;base64,cG5n"


def test_a_hang_names_the_threads_that_wait_for_each_other(tmp_path: Path) -> None:
    run = CanaryRun()
    run.path = tmp_path
    folder = tmp_path / "hosts" / ROUTER
    folder.mkdir(parents=True)
    shutil.copy(DATA / "router_hang_gdb.txt", folder / "stacks-gdb-66.txt")
    told = {"reason": "no answer", "silent_s": 8.0, "files": ["stacks-gdb-66.txt", "gone.txt"]}
    run.event(66.0, ROUTER, "router.hang", "router", **told)
    (hang,) = hangs(Run(run))
    assert (hang.at_s, hang.silent_s, hang.reason) == (66, 8, "no answer")
    assert len(hang.threads) == 4
