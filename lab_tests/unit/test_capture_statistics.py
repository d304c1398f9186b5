"""What packets say, by hand-made flows, and SIP as tshark told it of a real capture."""

from __future__ import annotations

import numpy as np
import pytest

from screamlab.evidence.rtp_statistics import statistics
from screamlab.evidence.sip_ladder import dialogs

FRAMES, PACKET_S = 288, 0.006


def flow(numbers: list[int], late_s: dict[int, float] | None = None) -> tuple[list[float], ...]:
    """Arrivals, sequence numbers and timestamps of packets that come as they are sent."""
    late = late_s or {}
    arrival = [100 + n * PACKET_S + late.get(n, 0.0) for n in numbers]
    return arrival, [n & 0xFFFF for n in numbers], [(n * FRAMES) & 0xFFFFFFFF for n in numbers]


def test_a_whole_flow_has_nothing_wrong_over_a_wrap_of_both_counters() -> None:
    seen = statistics(*flow(list(range(14912000, 14912300))))
    assert (seen.packets, seen.lost, seen.sequence_errors, seen.breaks) == (300, 0, 0, ())
    assert (seen.jitter_ms, seen.skew_ms) == (0.0, pytest.approx(0.0, abs=1e-3))
    assert seen.pause_max_ms == pytest.approx(6.0)


def test_lost_doubled_and_reordered_are_told_apart() -> None:
    numbers = [*range(50), *range(53, 60), 59, 61, 60, *range(62, 80)]
    arrival = [100 + at * PACKET_S for at in range(len(numbers))]
    seen = statistics(arrival, numbers, [n * FRAMES for n in numbers])
    assert (seen.lost, seen.duplicates, seen.reordered) == (3, 1, 1)
    assert seen.sequence_errors == 5
    assert [(round(one.t, 3), one.lost) for one in seen.breaks] == [(100.3, 3)]


def test_jitter_is_that_of_rfc_3550_and_skew_the_farthest_that_a_packet_strayed() -> None:
    late = {n: 0.004 for n in range(1, 100, 2)}
    seen = statistics(*flow(list(range(100)), late))
    jitter, expected = 0.0, []
    for n in range(100):
        jitter += ((4.0 if n else 0.0) - jitter) / 16
        expected.append(jitter)
    assert seen.jitter_ms == pytest.approx(np.mean(expected), abs=2e-3)
    assert seen.jitter_max_ms == pytest.approx(max(expected), abs=2e-3)
    assert seen.skew_ms == pytest.approx(4.0, abs=1e-3)


def test_a_sender_that_pauses_and_makes_up_for_it_loses_nothing() -> None:
    held = {n: 0.3 - (n - 50) * PACKET_S for n in range(50, 100)}
    seen = statistics(*flow(list(range(200)), held))
    assert seen.lost == 0
    [pause] = seen.breaks
    assert (pause.lost, pause.pause_ms) == (0, pytest.approx(306, abs=1))


def test_what_is_no_rtp_has_pauses_only() -> None:
    seen = statistics([1.0, 1.02, 1.2])
    assert (seen.lost, seen.jitter_ms, seen.pause_max_ms) == (None, None, 180.0)


def rows(text: str) -> list[list[str]]:
    return [line.split("|") for line in text.split()]


# tshark 4.0 on sipp calling a registrar that wants credentials, and one that takes no calls.
REFUSED = """
1.00|198.19.0.32|5061|198.19.0.10|5060|a@1|REGISTER|1|REGISTER||
1.01|198.19.0.10|5060|198.19.0.32|5061|a@1|REGISTER|1||401|
1.02|198.19.0.32|5061|198.19.0.10|5060|a@1|REGISTER|2|REGISTER||
1.03|198.19.0.10|5060|198.19.0.32|5061|a@1|REGISTER|2||200|
2.00|198.19.0.32|5061|198.19.0.10|5060|b@1|INVITE|1|INVITE||
2.01|198.19.0.10|5060|198.19.0.32|5061|b@1|INVITE|1||488|
2.02|198.19.0.32|5061|198.19.0.10|5060|b@1|ACK|1|ACK||
3.00|198.19.0.32|5061|198.19.0.10|5060|c@1|OPTIONS|1|OPTIONS||
3.50|198.19.0.32|5061|198.19.0.10|5060|c@1|OPTIONS|1|OPTIONS||1
"""


def test_a_challenge_is_no_failure_a_refusal_and_silence_are() -> None:
    registered, refused, unanswered = dialogs(rows(REFUSED))
    assert (registered.problem, registered.retransmissions) == ("", 0)
    assert not registered.is_call and refused.is_call
    assert refused.problem == "488 (INVITE 1) of 198.19.0.10:5060"
    assert unanswered.problem == "no answer of 198.19.0.10:5060 to OPTIONS 1"
    assert unanswered.retransmissions == 1
