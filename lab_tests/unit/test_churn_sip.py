"""The cycles of SIP devices: what sipp is given, and what is made of what it logs."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from screamlab.agent.context import WorkerContext
from screamlab.evidence.spool import Spool
from screamlab.load.churn.model import Cycle, SipChurn
from screamlab.load.churn.sip import Progress, job
from screamlab.load.churn.sip_xml import register_xml
from screamlab.load.sip.sipp_process import injection_text
from screamlab.scenario.plan import Endpoint

ZERO = 1795478300.0
CYCLE = Cycle(number=3, lane=2, from_s=4.0, to_s=6.5)
CHURN = SipChurn.model_validate(
    {"group": "sip", "cycles": [CYCLE.model_dump()], "domain": "lab", "address": "198.19.9.2",
     "registrar": Endpoint(address="198.19.9.1", port=5060),
     "lanes": [{"number": 2, "user": "churn-sip-02", "password": "secret"}]}
)  # fmt: skip


def test_a_cycle_is_a_device_with_its_lanes_credentials_and_its_own_times(tmp_path: Path) -> None:
    spool = Spool(tmp_path, writer="w", host="h")
    context = WorkerContext("churn-sip", "h", ZERO, 0.0, 60.0, spool, tmp_path)
    made = job(CHURN, context)
    _, line, _ = injection_text(made, ZERO).split("\n")
    number, user, credentials, address, begin, until = line.split(";")[:6]
    assert (number, user, address) == ("3", "churn-sip-02", "198.19.9.2")
    assert credentials == "[authentication username=churn-sip-02 password=secret]"
    assert (float(begin) - ZERO, float(until) - ZERO) == pytest.approx((4.0, 6.5))
    assert made.devices[0].scenario_xml == register_xml(CHURN.limit_s)


def test_the_scenario_registers_and_unregisters_and_waits_no_longer_than_it_may() -> None:
    scenario = ElementTree.fromstring(register_xml(2.5))
    sent = [step.text or "" for step in scenario.iter("send")]
    assert [text.count("Expires: 0") for text in sent] == [0, 0, 1, 1]
    assert ["[field2]" in text for text in sent] == [False, True, False, True]
    received = list(scenario.iter("recv"))
    assert {step.get("timeout") for step in received} == {"2500"}
    labels = {step.get("id") for step in scenario.iter("label")}
    jumps = {step.get("ontimeout") for step in received} | {
        step.get("next") for step in scenario.iter("nop") if step.get("next")
    }
    assert jumps <= labels


def steps(*said: tuple[str, float]) -> dict[str, object] | None:
    progress = Progress(CYCLE, ZERO)
    told = None
    for what, at_s in said:
        told = progress.said(what, ZERO + at_s)
    return told


def test_a_cycle_that_went_well_tells_its_times() -> None:
    log = (("begins", 4.005), ("registered", 4.105), ("leaves", 6.5), ("unregistered", 6.52))
    told = steps(*log)
    assert told is not None and told["ok"] is True and "error" not in told
    assert told["t"] == pytest.approx(ZERO + 4.005)
    times = [told[key] for key in ("late_ms", "connect_ms", "disconnect_ms")]
    assert times == pytest.approx([5.0, 100.0, 20.0], abs=0.01)
    assert steps(*log[:3]) is None


def test_a_request_without_an_answer_says_which() -> None:
    told = steps(("begins", 4.0), ("unanswered", 9.0))
    assert told == {
        "t": ZERO + 4.0, "ok": False, "number": 3, "lane": 2, "late_ms": 0.0,
        "error": "REGISTER was not answered in time",
    }  # fmt: skip
    later = steps(("begins", 4.0), ("registered", 4.1), ("leaves", 6.5), ("unanswered", 11.5))
    assert later is not None
    assert later["error"] == "un-registering: REGISTER was not answered in time"
    assert later["connect_ms"] == pytest.approx(100, abs=0.01) and "disconnect_ms" not in later


def test_one_that_never_began_is_told_at_its_planned_time() -> None:
    told = Progress(CYCLE, ZERO).over("sipp ended with code 255")
    assert (told["t"], told["late_ms"]) == (ZERO + 4.0, 0.0)
    assert told["ok"] is False
