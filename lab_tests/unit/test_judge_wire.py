"""Canaries of the cross-check: a dropout is placed where the wire first shows it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from screamlab.evidence.packets import PACKETS_FILE, Capture, Flow, Packets
from screamlab.evidence.rtp_statistics import statistics
from screamlab.evidence.sip_ladder import dialogs
from screamlab.judge.canary import ROUTER, ZERO, CanaryRun
from screamlab.judge.model import CheckResult
from screamlab.judge.run import judge, judge_folder
from screamlab.judge.view import Run
from screamlab.judge.wire import traced
from screamlab.report.html import render_html

RTP = "stream/rtp-out-01/rtp-in-01"
AT_S, MS = 30.0, 120.0
SENDER, LISTENER, TO_ROUTER, TO_LISTENER = "s", "l", "into", "out"
ADDRESS = {SENDER: ("198.18.1.32", 5004), ROUTER: ("198.18.1.10", 40000),
           LISTENER: ("198.18.1.12", 41000)}  # fmt: skip
HOST_OF = {SENDER: "client1", ROUTER: ROUTER, LISTENER: "client2"}
CHECKS = [{"id": "wire.dropouts", "leave_out": ["stream/scream*"]}, {"id": "wire.capture"}]


def whole() -> list[int]:
    """Packets 6 ms apart, from 25 s to 35 s."""
    return list(range(1667))


def lossy() -> list[int]:
    """Twenty of them are missing, up to 29.8 s."""
    return [n for n in whole() if not 780 <= n < 800]


def flow(source: str, target: str, numbers: list[int]) -> Flow:
    arrival = [ZERO + 25.0 + n * 0.006 for n in numbers]
    seen = statistics(arrival, numbers, [n * 288 for n in numbers])
    return Flow(*ADDRESS[source], *ADDRESS[target], 77, seen)


def planned(run: CanaryRun) -> None:
    """Give the RTP stream addresses to be told by."""
    for name, plan in run.plans.items():
        workers = []
        for worker in plan.workers:
            streams = [dict(stream) for stream in worker.spec.get("streams", ())]
            for stream in streams:
                if stream["name"] == "rtp-in-01":
                    stream.update(local=_end(SENDER), remote=_end(ROUTER))
                elif stream["name"] == "rtp-out-01":
                    stream.update(local=_end(LISTENER))
            spec = {**worker.spec, "streams": streams} if streams else worker.spec
            workers.append(worker.model_copy(update={"spec": spec}))
        run.plans[name] = plan.model_copy(update={"workers": tuple(workers)})


def _end(name: str) -> dict[str, Any]:
    address, port = ADDRESS[name]
    return {"address": address, "port": port}


def captured(
    folder: Path, seen: Mapping[str, list[Flow]], *, dropout: bool = True, missed: int = 0
) -> CanaryRun:
    """A run in which these hosts captured these flows around the dropout."""
    run = CanaryRun(CHECKS, path=folder)
    planned(run)
    if dropout:
        run.event(AT_S, "client2", "audio.dropout", RTP, ms=MS, sender="rtp-in-01")
    captures = []
    for host, flows in seen.items():
        file = folder / "hosts" / host / "incident-001.pcapng"
        file.parent.mkdir(parents=True)
        file.write_bytes(b"as read before")
        captures.append(Capture(host, file.name, file.stat().st_size, tuple(flows)))
        run.event(-1.0, host, "capture.start", "capture", device="data0")
        run.event(
            40.0, host, "capture.incident", "capture", file=file.name, from_t=ZERO + 25.0,
            to_t=ZERO + 35.0, bytes=14, causes={"audio.dropout": 1}, whole=True,
        )  # fmt: skip
        run.event(
            130.0, host, "capture.end", "capture", packets=5000, missed=missed, left_out=0
        )  # fmt: skip
    captures.sort(key=lambda one: one.host)
    (folder / PACKETS_FILE).write_text(Packets(tuple(captures)).to_json())
    return run


def into(numbers: list[int]) -> Flow:
    return flow(SENDER, ROUTER, numbers)


def out(numbers: list[int]) -> Flow:
    return flow(ROUTER, LISTENER, numbers)


PLACED = [
    ({"client1": [into(lossy())], ROUTER: [into(lossy()), out(whole())]},
     "before the router: in the sender (left the sender with 20 packets missing", "pass"),
    ({"client1": [into(whole())], ROUTER: [into(lossy()), out(lossy())]},
     "before the router: in the way to the router (left the sender whole; reached", "pass"),
    ({ROUTER: [into(whole()), out(lossy())]}, "in the router: in the router (reached", "fail"),
    ({ROUTER: [into(whole()), out(whole())], "client2": [out(lossy())]},
     "after the router: in the way to the receiver (", "pass"),
    ({ROUTER: [into(whole()), out(whole())], "client2": [out(whole())]},
     "in the router or after the router: in the router or the receiver (", "fail"),
    ({"client2": [out(lossy())]},
     "before the router or in the router or after the router: in the sender or", "unknown"),
    ({ROUTER: [into(whole()), out(whole())]},
     "in the router or after the router: in the router or the way to the receiver or", "unknown"),
    # Announcements on the stream's own port are not the stream.
    ({ROUTER: [into(lossy()), out(whole()), Flow(*ADDRESS[ROUTER], *ADDRESS[LISTENER], None,
      statistics([ZERO + 26.0, ZERO + 31.0]))]},
     "before the router: in the sender or the way to the router (reached the router with 20 "
     "packets missing and with a pause of 126 ms; left the router whole)", "pass"),
    # The router has stopped sending for good.
    ({ROUTER: [into(whole()), out(list(range(800)))]}, "in the router: in the router", "fail"),
    # The sender is gone: nothing of it is in the capture at all.
    ({"client1": [], ROUTER: [out(whole())]}, "before the router: in the sender", "pass"),
]  # fmt: skip


def results(run: CanaryRun) -> dict[str, CheckResult]:
    return {result.id: result for result in judge(Run(run), ()).checks}


@pytest.mark.parametrize(("seen", "where", "status"), PLACED, ids=range(len(PLACED)))
def test_a_dropout_lies_where_the_wire_first_shows_it(
    tmp_path: Path, seen: dict[str, list[Flow]], where: str, status: str
) -> None:
    run = captured(tmp_path, seen)
    [one] = traced(Run(run))
    assert one.text.startswith(where)
    found = results(run)
    assert found["wire.dropouts"].status == status, found["wire.dropouts"]
    assert "30.0 s" in found["wire.dropouts"].reason
    assert found["wire.capture"].status == "pass"


def test_where_nothing_drops_out_nothing_is_found(tmp_path: Path) -> None:
    run = captured(tmp_path, {ROUTER: [into(whole()), out(whole())]}, dropout=False)
    found = results(run)["wire.dropouts"]
    assert (found.status, found.value) == ("pass", 0)
    assert found.samples > 30
    assert traced(Run(run)) == ()


def test_without_captures_nothing_is_known(tmp_path: Path) -> None:
    run = CanaryRun(CHECKS, path=tmp_path)
    run.event(AT_S, "client2", "audio.dropout", RTP, ms=MS, sender="rtp-in-01")
    assert {result.status for result in results(run).values()} == {"unknown"}


def test_packets_that_were_missed_make_the_capture_invalid(tmp_path: Path) -> None:
    run = captured(tmp_path, {ROUTER: [into(whole()), out(whole())]}, dropout=False, missed=7)
    found = results(run)["wire.capture"]
    assert found.status == "invalid"
    assert "7 of 5007 packets missed" in found.reason


def test_without_tshark_one_sentence_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = captured(tmp_path, {ROUTER: [into(whole()), out(lossy())]})
    (tmp_path / PACKETS_FILE).unlink()
    monkeypatch.setattr("screamlab.evidence.tshark.shutil.which", lambda name: None)
    found = results(run)["wire.dropouts"]
    assert found.status == "unknown"
    assert "reading it needs tshark, which is not installed" in found.reason
    assert "needs tshark" in render_html(Run(run), judge(Run(run), ()), ())


def test_the_report_shows_flows_beside_what_was_heard_and_ladders(tmp_path: Path) -> None:
    run = captured(tmp_path, {ROUTER: [into(whole()), out(lossy())]})
    said = "30.1|198.18.1.32|5061|198.18.1.10|5060|{}|INVITE|1|{}|{}|"
    rows = [said.format("<b>@1", *told).split("|") for told in (("INVITE", ""), ("", "503"))]
    known = json.loads((tmp_path / PACKETS_FILE).read_text())
    [capture] = Packets(tuple(Capture(**c) for c in known["captures"])).captures
    [dialog] = dialogs(rows)
    flows = (into(whole()), out(lossy()))
    shown = Packets((replace(capture, flows=flows, dialogs=(dialog,)),))
    (tmp_path / PACKETS_FILE).write_text(shown.to_json())
    page = render_html(Run(run), judge(Run(run), ()), ())
    assert "What the wire says" in page
    assert "1 dropouts, 120 ms" in page and "left the router with 20 packets missing" in page
    assert "503 (INVITE 1) of 198.18.1.32:5061" in page
    assert "&lt;b&gt;@1" in page and "<b>@1" not in page


def test_what_was_read_once_is_kept_with_the_run(tmp_path: Path) -> None:
    run = captured(tmp_path, {ROUTER: [into(whole()), out(lossy())]})
    (tmp_path / "run.json").write_text(json.dumps({**run.meta, "checks": []}))
    before = (tmp_path / PACKETS_FILE).read_text()
    issues = tmp_path / "issues.yml"
    issues.write_text("[]\n")
    done = judge_folder(tmp_path, issues)
    assert PACKETS_FILE not in done.changed
    assert (tmp_path / PACKETS_FILE).read_text() == before
