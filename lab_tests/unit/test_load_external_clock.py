"""Sound in lumps gets the times that it would have had without the holding up."""

from __future__ import annotations

import pytest

from screamlab.load.frame_clock import FrameClock

PACKET = 1152
PACKET_S = PACKET / 48000
START = 1000.0


def arrive(clock: FrameClock, count: int, begin: float = START) -> list[float]:
    """`count` lumps of four packets, each all at once when its last is due, from `begin` on."""
    return [
        clock.advance(4 * PACKET, begin + (4 * number + 3) * PACKET_S) for number in range(count)
    ]


@pytest.mark.parametrize("gapless", [True, False])
def test_lumps_are_spread_over_the_time_they_play(gapless: bool) -> None:
    clock = FrameClock(PACKET, gapless=gapless)

    firsts = arrive(clock, 20)

    assert firsts == pytest.approx([START + number * 4 * PACKET_S for number in range(20)])
    assert clock.until == pytest.approx(START + 80 * PACKET_S)


def test_what_a_program_held_back_keeps_its_time() -> None:
    clock = FrameClock(PACKET, gapless=False)
    arrive(clock, 20)
    due = clock.until

    first = clock.advance(50 * PACKET, due + 49 * PACKET_S)

    assert first == pytest.approx(due)
    assert clock.set_by_s == 0


def test_sound_left_out_sets_the_clock_once_it_is_sure() -> None:
    clock = FrameClock(PACKET, gapless=False)
    arrive(clock, 20)
    due = clock.until

    settings = []
    for number in range(20):
        first = clock.advance(4 * PACKET, due + 1.0 + (number * 4 + 3) * PACKET_S)
        if clock.set_by_s:
            settings.append((number, clock.set_by_s))

    ((number, by_s),) = settings
    assert by_s == pytest.approx(1.0)
    assert 0.5 <= number * 4 * PACKET_S < 0.7
    assert first == pytest.approx(due + 1.0 + 19 * 4 * PACKET_S)


def test_a_little_left_out_and_a_short_stall_set_nothing() -> None:
    clock = FrameClock(PACKET, gapless=False)
    arrive(clock, 20)

    arrive(clock, 20, clock.until + 0.1)
    assert clock.set_by_s == 0
    clock.advance(PACKET, clock.until + 0.4)
    assert clock.set_by_s == 0


def test_a_gapless_program_is_never_set() -> None:
    clock = FrameClock(PACKET, gapless=True)
    arrive(clock, 20)
    due = clock.until

    for number in range(40):
        clock.advance(4 * PACKET, due + 1.0 + number * 4 * PACKET_S)
        assert clock.set_by_s == 0
