"""The emulated player: what is lost, late, doubled or out of order, and how jitter is counted."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from screamlab.load.playout import Jitter, Piece, PlayoutBuffer
from screamlab.load.wire import RtpPacket

FRAMES = 288
INTERVAL_S = FRAMES / 48000
PLAYOUT_S = 0.1
START = 1000.0


def packet(number: int, *, first: int = 65500, ssrc: int = 7) -> RtpPacket:
    payload = number.to_bytes(2, "big") * (FRAMES * 2)
    timestamp = (0xFFFFFF00 + number * FRAMES) & 0xFFFFFFFF
    return RtpPacket(127, (first + number) & 0xFFFF, timestamp, ssrc, payload)


def on_time(number: int) -> float:
    return START + number * INTERVAL_S


def buffer() -> PlayoutBuffer:
    return PlayoutBuffer(48000, 4, PLAYOUT_S)


def play(player: PlayoutBuffer, arrivals: list[tuple[RtpPacket, float]]) -> list[Piece]:
    pieces = list(itertools.chain.from_iterable(player.push(*one) for one in arrivals))
    return pieces + player.flush()


def heard(pieces: list[Piece]) -> list[int | str]:
    """Packet numbers as played; lost audio as its length in packets."""
    return [
        f"lost {piece.frames / FRAMES:g}"
        if piece.payload is None
        else int.from_bytes(piece.payload[:2], "big")
        for piece in pieces
    ]


def test_a_clean_stream_over_both_wraps_is_played_as_it_came() -> None:
    player = buffer()

    pieces = play(player, [(packet(n), on_time(n)) for n in range(80)])

    assert heard(pieces) == list(range(80))
    counts = player.counts
    assert counts.packets == 80
    assert counts.lost == counts.late == counts.duplicate == counts.reordered == 0
    assert player.jitter.ms == pytest.approx(0, abs=1e-6)


def test_lost_packets_are_silence_of_their_length() -> None:
    player = buffer()
    sent = [(packet(n), on_time(n)) for n in range(60) if n not in (10, 20, 21, 22)]

    pieces = play(player, sent)

    expected: list[int | str] = [*range(10), "lost 1", *range(11, 20), "lost 3", *range(23, 60)]
    assert heard(pieces) == expected
    assert player.counts.lost == 4


def test_a_hole_is_given_up_only_when_its_playout_time_has_passed() -> None:
    player = buffer()
    player.push(packet(0), on_time(0))
    player.push(packet(2), on_time(2))
    due = on_time(1) + PLAYOUT_S

    assert player.advance(due - 0.001) == []
    assert heard(player.advance(due + 0.001)) == ["lost 1", 2]


def test_a_swapped_pair_is_put_in_order() -> None:
    player = buffer()
    order = [0, 1, 3, 2, 4, 5]

    pieces = play(player, [(packet(n), on_time(k)) for k, n in enumerate(order)])

    assert heard(pieces) == [0, 1, 2, 3, 4, 5]
    assert player.counts.reordered == 1
    assert player.counts.lost == 0


def test_a_repeated_packet_is_played_once() -> None:
    player = buffer()
    order = [0, 1, 1, 2, 3, 1, 5, 5, 4]

    pieces = play(player, [(packet(n), on_time(k)) for k, n in enumerate(order)])

    assert heard(pieces) == [0, 1, 2, 3, 4, 5]
    assert player.counts.duplicate == 3


def test_a_packet_after_its_playout_time_is_late_and_not_played() -> None:
    player = buffer()
    sent = [(packet(n), on_time(n)) for n in range(40) if n != 5]
    sent.append((packet(5), on_time(5) + PLAYOUT_S + 0.05))
    sent.sort(key=lambda one: one[1])

    pieces = play(player, sent)

    assert heard(pieces) == [0, 1, 2, 3, 4, "lost 1", *range(6, 40)]
    assert (player.counts.late, player.counts.lost) == (1, 1)


def test_a_stall_longer_than_the_buffer_costs_only_what_came_too_late() -> None:
    player = buffer()
    resumed = on_time(50)
    sent = [(packet(n), on_time(n) if n < 10 else max(on_time(n), resumed)) for n in range(90)]

    pieces = play(player, sent)

    missed = sum(resumed > on_time(n) + PLAYOUT_S for n in range(10, 50))
    assert heard(pieces) == [*range(10), f"lost {missed}", *range(10 + missed, 90)]
    assert player.counts.late == missed


def test_a_lasting_rise_of_delay_rebuffers_once() -> None:
    player = buffer()
    sent = [(packet(n), on_time(n) + (0.3 if n >= 100 else 0.0)) for n in range(400)]

    pieces = play(player, sent)

    rebuffers = [notice for notice in player.notices if notice.kind == "rebuffer"]
    assert [notice.fields["by_ms"] for notice in rebuffers] == [pytest.approx(300)]
    lost = [piece.frames for piece in pieces if piece.payload is None]
    assert lost == [pytest.approx(0.5 * 48000, abs=2 * FRAMES)]
    assert heard(pieces)[-1] == 399


def test_a_slow_clock_is_followed() -> None:
    player = buffer()
    stretched = 1 + 2000e-6

    pieces = play(player, [(packet(n), START + n * INTERVAL_S * stretched) for n in range(20_000)])

    assert len(pieces) == 20_000
    assert player.counts.lost == player.counts.late == 0


def test_a_new_ssrc_is_followed_without_losing_its_first_packets() -> None:
    player = buffer()
    old = [(packet(n), on_time(n)) for n in range(10)]
    new = [(packet(n, first=31, ssrc=8), on_time(n)) for n in range(10, 20)]

    pieces = play(player, old + new)

    assert heard(pieces) == list(range(20))
    (notice,) = player.notices
    assert notice.kind == "ssrc_change"
    assert notice.fields == {"old_ssrc": 7, "new_ssrc": 8}
    assert player.counts.packets == 20
    assert player.counts.lost == 0


def test_a_second_ssrc_beside_the_first_is_foreign() -> None:
    player = buffer()
    own = [(packet(n), on_time(n)) for n in range(20)]
    other = [(packet(n, ssrc=9), on_time(n) + 0.001) for n in range(20)]

    pieces = play(player, sorted(own + other, key=lambda one: one[1]))

    assert heard(pieces) == list(range(20))
    assert player.counts.foreign >= 19
    assert player.notices == []


def test_sequence_numbers_that_start_over_are_followed() -> None:
    player = buffer()
    old = [(packet(n, first=10_000), on_time(n)) for n in range(10)]
    new = [(packet(n, first=40_000), on_time(n)) for n in range(10, 20)]

    pieces = play(player, old + new)

    assert heard(pieces) == list(range(20))
    assert [notice.kind for notice in player.notices] == ["sequence_reset"]


@settings(max_examples=200)
@given(
    lost=st.sets(st.integers(1, 58), max_size=20),
    delays=st.lists(st.floats(0, PLAYOUT_S * 0.99), min_size=60, max_size=60),
)
def test_no_frame_is_added_or_dropped_whatever_the_network_does(
    lost: set[int], delays: list[float]
) -> None:
    player = buffer()
    delays[0] = 0.0
    sent = [(packet(n), on_time(n) + delays[n]) for n in range(60) if n not in lost]

    pieces = play(player, sorted(sent, key=lambda one: one[1]))

    assert sum(piece.frames for piece in pieces) == 60 * FRAMES
    assert player.counts.lost == len(lost)
    assert [n for n in heard(pieces) if isinstance(n, int)] == sorted(set(range(60)) - lost)


def test_jitter_is_the_formula_of_rfc_3550() -> None:
    """Transits of 800, 960, 880, 880 units: D is 160, -80, 0; J is 10, 14.375, 13.4765625."""
    jitter = Jitter(8000)
    values = []
    for number, transit in enumerate((800, 960, 880, 880)):
        timestamp = 160 * number
        jitter.add((timestamp + transit) / 8000, timestamp)
        values.append(jitter.units)

    assert values == pytest.approx([0, 10, 14.375, 13.4765625])
    assert jitter.ms == pytest.approx(13.4765625 / 8)
