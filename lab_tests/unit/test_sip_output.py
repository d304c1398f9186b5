"""What sipp, Kamailio and baresip really said, as the lab reads it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from screamlab.load.sip.baresip_process import Event, Netstrings, encode_command
from screamlab.load.sip.registrar import parse_statistics
from screamlab.load.sip.sipp_output import (
    Entries,
    Failure,
    Said,
    Statistics,
    longest_ms,
    parse_failure,
    parse_said,
    refused_credentials,
)

DATA = Path(__file__).parents[1] / "data" / "sip"


def failures(name: str, piece: int = 1 << 16) -> list[Failure]:
    """Failures in an error stream that arrives in pieces."""
    text = (DATA / name).read_bytes().decode()
    entries = Entries()
    found = [e for at in range(0, len(text), piece) for e in entries.feed(text[at : at + piece])]
    return [f for e in [*found, *entries.rest()] if (f := parse_failure(e))]


@pytest.mark.parametrize("piece", [7, 100, 1 << 16])
def test_refused_credentials_are_told_with_the_call(piece: int) -> None:
    (failure,) = failures("sipp_errors_401.log", piece)
    assert (failure.call, failure.method, failure.status) == (2, "REGISTER", 401)
    assert failure.cause == "REGISTER was answered 401 Unauthorized"
    assert refused_credentials(failure)


def test_a_refused_offer_is_told_with_the_routers_reason() -> None:
    (failure,) = failures("sipp_errors_488.log")
    assert (failure.call, failure.method, failure.status) == (1, "INVITE", 488)
    assert "takes L16/48000/2 and opus/48000/2" in failure.cause
    assert not refused_credentials(failure)


def test_a_request_without_an_answer_is_told() -> None:
    (failure,) = failures("sipp_errors_timeout.log")
    assert (failure.call, failure.cause) == (1, "no answer in time")


def test_presence_checks_are_no_errors() -> None:
    text = (
        "2026-11-23\t22:34:28.713985\t1795473268.713985: Received out-of-call OPTIONS message, "
        "using the out-of-call scenario"
    )
    entries = Entries()
    assert entries.feed(text * 3) == entries.rest() == []


def test_statistics_are_counts_and_histograms() -> None:
    statistics = Statistics()
    lines = (DATA / "sipp_stat.csv").read_text().splitlines()
    header, *figures = [statistics.feed(line) for line in lines]
    assert header is None
    last = figures[-1]
    assert last is not None
    assert (last["calls"], last["calls_open"]) == (3, 0)
    assert (last["successful_call"], last["failed_call"]) == (2, 1)
    assert last["failed_unexpected_message"] == 1
    assert last["retransmissions"] == 0
    assert (last["register_under_5ms"], last["unregister_under_20ms"]) == (2, 2)
    assert last["unregister_mean_ms"] == 12
    assert "failed_tcp_closed" not in last


def test_the_longest_answer_of_each_kind() -> None:
    lines = (DATA / "sipp_rtt.csv").read_text().splitlines()
    assert longest_ms(lines) == {
        "register_max_ms": 4,
        "refresh_max_ms": 4,
        "unregister_max_ms": 12,
    }
    assert longest_ms([]) == {}


def test_log_lines() -> None:
    answered = parse_said("desk-01 answered 198.19.0.10 40000 127")
    assert answered == Said("desk-01", "answered", ("198.19.0.10", "40000", "127"))
    assert parse_said("") is None


def test_the_registrars_figures() -> None:
    lines = json.loads((DATA / "kamailio_statistics.json").read_text())["result"]
    figures = parse_statistics(lines)
    assert figures["auth_failed"] == 30
    assert figures["contacts"] == 1
    assert figures["registers_accepted"] > 0


@pytest.mark.parametrize("piece", [1, 50, 1 << 16])
def test_events_of_a_control_connection(piece: int) -> None:
    data = (DATA / "baresip_control.bin").read_bytes()
    netstrings = Netstrings()
    events = [
        e for at in range(0, len(data), piece) for e in netstrings.feed(data[at : at + piece])
    ]
    assert [event.type for event in events] == [
        "REGISTERING",
        "REGISTER_OK",
        "CALL_LOCAL_SDP",
        "CALL_REMOTE_SDP",
        "CALL_ESTABLISHED",
        "CALL_CLOSED",
        "SHUTDOWN",
        "UNREGISTERING",
        "EXIT",
    ]
    assert events[1] == Event("REGISTER_OK", "200 OK")


def test_a_command_is_a_netstring() -> None:
    size, _, rest = encode_command("dial", "sip:router@lab").partition(b":")
    assert len(rest) == int(size) + 1
    assert json.loads(rest[:-1]) == {"command": "dial", "params": "sip:router@lab", "token": "dial"}
