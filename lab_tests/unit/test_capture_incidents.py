"""Around what packets are kept: windows that merge, caps, calls between hosts, and plans."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from screamlab import paths
from screamlab.agent.context import WorkerContext
from screamlab.errors import BadInput, InfraError
from screamlab.evidence.packets import CAPTURES
from screamlab.evidence.spool import Spool, read_lines
from screamlab.inventory import load_hosts
from screamlab.observe.calling import Calls
from screamlab.observe.capture import Keeper, Keeping
from screamlab.observe.incidents import LONGEST_S, Incidents, is_incident
from screamlab.observe.ring import Ring
from screamlab.run.folder import captured
from screamlab.scenario.compile import Compiled, compile_scenario
from screamlab.scenario.model import load_scenario
from screamlab.scenario.plan import Endpoint

SCENARIO = paths.SCENARIOS / "tc-stress-001.yml"


def windows(incidents: Incidents) -> list[tuple[float, float]]:
    return [(one.from_t, one.to_t) for one in incidents.take(float("inf"))]


def test_events_that_are_near_each_other_are_one_incident() -> None:
    incidents = Incidents(around_s=5, at_most=10)
    for t in (100.0, 104.0, 98.0, 130.0):
        incidents.add(t, "audio.dropout")
    assert incidents.take(108.0) == []
    [first] = incidents.take(120.0)
    assert (first.from_t, first.to_t, first.causes) == (93, 109, {"audio.dropout": 3})
    assert windows(incidents) == [(125, 135)]


def test_trouble_without_end_is_cut_into_pieces_that_do_not_overlap_up_to_the_cap() -> None:
    incidents = Incidents(around_s=5, at_most=3)
    for t in range(100, 400):
        incidents.add(float(t), "audio.silence")
    found = windows(incidents)
    assert len(found) == 3 and incidents.left_out > 100
    assert all(to_t - from_t <= LONGEST_S for from_t, to_t in found)
    assert all(a[1] <= b[0] for a, b in zip(found, found[1:], strict=False))
    assert found[0][0] == 95


def test_what_is_told_late_and_lies_in_windows_close_together_is_in_them() -> None:
    incidents = Incidents(around_s=3, at_most=10)
    for t in (100.0, 104.5):
        incidents.add(t, "audio.dropout")
        incidents.take(t + 3.5)
    incidents.add(102.0, "audio.dropout")
    assert incidents.left_out == 0
    assert incidents.take(float("inf")) == []


def test_what_is_told_late_widens_an_open_window_and_does_not_reopen_one() -> None:
    incidents = Incidents(around_s=5, at_most=10)
    incidents.add(100.0, "audio.dropout")
    incidents.take(106.0)
    # The first is in it already, what the second is about is not in the ring any more.
    incidents.add(99.0, "core.found")
    incidents.add(80.0, "core.found")
    incidents.add(102.0, "core.found")
    assert incidents.left_out == 1
    assert windows(incidents) == [(105, 107)]


@pytest.mark.parametrize(
    ("kind", "subject", "is_one"),
    [
        ("audio.dropout", "stream/out-01/in-01", True),
        ("audio.dropout", "stream/null/in-01/null/in-01", False),
        ("process.gone", "process/router", True),
        ("process.gone", "process/agent", False),
        ("sip.failed", "sip/desk-01", True),
        ("sip.ended", "sip/desk-01", False),
    ],
)
def test_which_events_are_incidents(kind: str, subject: str, is_one: bool) -> None:
    assert is_incident({"kind": kind, "subject": subject}) is is_one


def test_a_call_is_said_again_and_heard_once_and_only_by_its_run() -> None:
    here = [Endpoint(address=f"127.73.0.{n}", port=46999) for n in (1, 2, 3)]
    caller = Calls("r", None, here)
    same, other, third = Calls("r", here[0], ()), Calls("s", here[1], ()), Calls("r", here[2], ())
    caller.tell(100.0, "audio.dropout")
    caller.tell(100.5, "audio.dropout")
    list(caller.heard())
    time.sleep(1.1)
    list(caller.heard())
    assert list(same.heard()) == [(100.0, "audio.dropout")]
    assert list(other.heard()) == []
    assert list(third.heard()) == [(100.0, "audio.dropout")]
    for calls in (caller, same, other, third):
        calls.close()


def compiled(*settings: str) -> Compiled:
    hosts = load_hosts(paths.CHECKOUT / "inventory" / "local")
    scenario = load_scenario(SCENARIO, "quick", settings)
    return compile_scenario(scenario, hosts, run_id="r", seed=1)


def test_nothing_is_captured_unless_it_is_asked_for() -> None:
    plans = compiled().plans
    assert captured(plans) == []
    assert not any(worker.kind == "capture" for p in plans.values() for worker in p.workers)


def test_every_host_tells_those_that_capture_and_they_alone_keep() -> None:
    plans = compiled("watch.capture={hosts: router, around_seconds: 3}").plans
    assert captured(plans) == ["router1"]
    specs = {name: next(w.spec for w in plan.workers if w.kind == "capture")
             for name, plan in plans.items()}  # fmt: skip
    called = specs["router1"]["keep"]["listen"]
    assert specs["router1"]["tell"] == []
    assert all(spec["tell"] == [called] for name, spec in specs.items() if name != "router1")
    assert specs["client1"]["keep"] is None
    whole, heads = specs["router1"]["keep"]["filters"].items()
    assert "udp port 5060" in whole[0] and whole[1] == 0
    assert "not udp port 5060" in heads[0] and heads[1] == 80
    assert called["address"] in heads[0]


def test_a_mistake_in_the_section_names_its_line(tmp_path: Path) -> None:
    file = tmp_path / "x.yml"
    text = SCENARIO.read_text()
    file.write_text(text.replace("interval_seconds: 1", "capture: {hosts: router, ring: 3}"))
    line = text[: text.index("interval_seconds")].count("\n") + 1
    with pytest.raises(BadInput, match=rf"x\.yml:{line}: watch\.capture\.ring.*known.*ring_mib"):
        load_scenario(file, "quick")
    file.write_text(text.replace("interval_seconds: 1", "capture: {hosts: nobody}"))
    with pytest.raises(BadInput, match=r"watch\.capture\.hosts: .*router.*clients.*all"):
        load_scenario(file, "quick")


def test_a_host_without_dumpcap_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("screamlab.observe.ring.shutil.which", lambda tool: None)
    with pytest.raises(InfraError, match=r"^dumpcap is not installed on this host \(Debian: wire"):
        Ring(tmp_path, "lo", {"udp": 80}, ring_mib=4, runtime_s=1)


class FullRing:
    """A ring that has a MiB of packets for every incident."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def check(self) -> None: ...

    def stop(self) -> tuple[int, int]:
        return 1000, 3

    def cut(self, from_t: float, to_t: float, target: Path) -> bool:
        target.write_bytes(bytes(2**20))
        return True

    def remove(self) -> None: ...


def test_what_is_more_than_the_cap_is_left_out_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("screamlab.observe.capture.Ring", FullRing)
    spool = Spool(tmp_path, writer="capture", host="h")
    context = WorkerContext("capture", "h", time.time(), 0, 60, spool, tmp_path)
    keep = Keeping(device="d0", filters={"udp": 80}, ring_mib=4, around_s=1, at_most=3, cap_mib=2.5,
                   listen=Endpoint(address="127.0.0.1", port=46999))  # fmt: skip
    keeper = Keeper(keep, context)
    keeper.attend([(100.0 * at, "audio.dropout") for at in range(1, 6)])
    keeper.close()
    told = read_lines(tmp_path / "events-capture.jsonl").records
    assert [line["kind"] for line in told] == [
        "capture.start", "capture.incident", "capture.incident", "capture.left_out", "capture.end",
    ]  # fmt: skip
    assert "1.0 MiB are more than is left of the cap" in told[3]["reason"]
    assert (told[4]["packets"], told[4]["missed"], told[4]["left_out"]) == (1000, 3, 2)
    assert len(list(tmp_path.glob(CAPTURES))) == 2


def test_after_a_reboot_numbers_and_caps_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("screamlab.observe.capture.Ring", FullRing)
    for name in ("incident-001.pcapng", "incident-003.pcapng"):
        (tmp_path / name).write_bytes(b"before")
    spool = Spool(tmp_path, writer="capture", host="h")
    context = WorkerContext("capture", "h", time.time(), 0, 60, spool, tmp_path)
    keep = Keeping(device="d0", filters={"udp": 80}, ring_mib=4, around_s=1, at_most=4, cap_mib=9,
                   listen=Endpoint(address="127.0.0.1", port=46999))  # fmt: skip
    keeper = Keeper(keep, context)
    keeper.attend([(100.0, "audio.dropout"), (200.0, "audio.dropout")])
    keeper.close()
    told = read_lines(tmp_path / "events-capture.jsonl").records
    assert [line["file"] for line in told if line["kind"] == "capture.incident"] == [
        "incident-004.pcapng"
    ]
    assert told[-1]["left_out"] == 1
    assert (tmp_path / "incident-003.pcapng").read_bytes() == b"before"
