"""Devices as they stand in a plan, and what sipp and baresip are told of them."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from screamlab.load.sip.baresip_process import account
from screamlab.load.sip.model import SipDevice
from screamlab.load.sip.sipp import jobs
from screamlab.load.sip.sipp_process import Job, arguments, injection_text
from screamlab.scenario.plan import Codec, Endpoint, SenderStream

REGISTRAR = Endpoint(address="198.19.0.10", port=5060)
ZERO = 1_700_000_000.0


def device(name: str, **fields: Any) -> SipDevice:
    common = {"registrar": REGISTRAR, "domain": "lab", "user": name, "password": "p"}
    window = {"address": "198.19.0.11", "from_s": 2.0, "to_s": 60.0}
    return SipDevice(name=name, **{**common, **window, **fields})


def calling(name: str, codec: Codec = "l16", **fields: Any) -> SipDevice:
    media = SenderStream(
        name=name,
        protocol="rtp",
        codec=codec,
        signal=1,
        local=Endpoint(address="198.19.0.32", port=0),
        remote=Endpoint(address="198.19.0.10", port=40000),
        from_s=4.0,
        to_s=58.0,
    )
    return device(name, address="198.19.0.32", media=media, **fields)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"to_s": 50.0}, "does not lie within its time"),
        ({"address": "198.19.0.33"}, "from its own 198.19.0.33"),
    ],
)
def test_audio_must_fit_the_device(fields: dict[str, Any], said: str) -> None:
    wanted = {**calling("a").model_dump(), **fields}
    with pytest.raises(ValidationError, match=said):
        SipDevice.model_validate(wanted)


def test_devices_that_are_only_present_share_a_process() -> None:
    present = [device(f"desk-{n}") for n in range(50)]
    elsewhere = device("far", address="198.19.0.40")
    planned = jobs([*present, calling("phone"), elsewhere], {"phone": 6000}, "client1")
    assert [(job.name, len(job.devices), job.rtp_port) for job in planned] == [
        ("presence-client1-1", 50, 0),
        ("presence-client1-2", 1, 0),
        ("phone", 1, 6000),
    ]


def test_times_of_the_injection_file_are_unix_seconds() -> None:
    job = Job("phone", (calling("phone", refresh_s=25.0),), 6000)
    order, line, rest = injection_text(job, ZERO).split("\n")
    assert (order, rest) == ("SEQUENTIAL", "")
    name, user, credentials, address, begin, until, end, refresh, expires, port = line.split(";")
    assert (name, user, address, port) == ("phone", "phone", "198.19.0.32", "6000")
    assert credentials == "[authentication username=phone password=p]"
    assert float(begin) == ZERO + 2.0
    assert ZERO + 58.0 < float(until) < float(end) < ZERO + 60.0
    assert (refresh, expires) == ("25", "75")


@pytest.mark.parametrize("codec", ["l16", "opus"])
def test_a_call_offers_its_codec(codec: Codec) -> None:
    job = Job("phone", (calling("phone", codec),), 6000)
    command = arguments(job, Path("call.xml"), Path("devices.csv"), ["log", "errors", "statistics"])
    keys = [command[at + 1 : at + 3] for at, word in enumerate(command) if word == "-key"]
    wanted = {"l16": ("127", "L16/48000/2"), "opus": ("111", "opus/48000/2")}[codec]
    assert ["payload", wanted[0]] in keys
    assert ["encoding", wanted[1]] in keys
    assert command[0] == "198.19.0.10:5060"
    assert "-nostdin" in command


def test_sipp_plays_the_scenario_it_is_given() -> None:
    job = Job("phone", (calling("phone"),), 6000)
    command = arguments(job, Path("own.xml"), Path("devices.csv"), ["log", "errors", "statistics"])
    assert command[command.index("-sf") + 1] == "own.xml"


@pytest.mark.parametrize(
    ("scenario", "job"),
    [
        ("presence.xml", Job("present", (device("a"),))),
        ("call.xml", Job("phone", (calling("phone"),), 6000)),
    ],
)
def test_scenarios_use_nothing_that_they_are_not_given(scenario: str, job: Job) -> None:
    text = resources.files("screamlab.load.sip").joinpath(scenario).read_text()
    root = ElementTree.fromstring(text)
    fields = len(injection_text(job, ZERO).split("\n")[1].split(";"))
    assert {int(number) for number in re.findall(r"\[field(\d+)\]", text)} <= set(range(fields))
    command = arguments(job, Path("call.xml"), Path("devices.csv"), ["log", "errors", "statistics"])
    keys = {command[at + 1] for at, word in enumerate(command) if word == "-key"}
    own = {"transport", "local_port", "branch", "call_number", "pid", "call_id", "cseq", "len"}
    own |= {"peer_tag_param", "next_url"}
    used = set(re.findall(r"\[([a-z_]+)(?:-\d+)?\]", text)) - own
    assert used == keys
    targets = {label.get("id") for label in root.iter("label")}
    assert {nop.get("next") for nop in root.iter("nop") if nop.get("next")} <= targets


def test_the_account_of_a_soft_phone() -> None:
    words = account(calling("phone", "opus")).split(";")
    assert words[0] == "<sip:phone@lab>"
    assert 'outbound="sip:198.19.0.10:5060"' in words
    assert "audio_codecs=opus/48000/2" in words
    assert "audio_codecs" not in account(device("desk"))
