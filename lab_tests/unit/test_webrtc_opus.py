"""Packets of a listener put in order, whatever the network did to them."""

from __future__ import annotations

import pytest

from screamlab.load.webrtc.opus import Sequencer


def ordered(*sequences: int, held: int = 4) -> list[int]:
    sequencer: Sequencer[int] = Sequencer(held)
    return [due for one in sequences for due in sequencer.push(one & 0xFFFF, one)]


@pytest.mark.parametrize(
    ("came", "due"),
    [
        ([7, 8, 9], [7, 8, 9]),
        ([7, 9, 8, 10], [7, 8, 9, 10]),
        ([7, 10, 9, 8, 11], [7, 8, 9, 10, 11]),
        ([7, 8, 8, 7, 9], [7, 8, 9]),
        ([65534, 65535, 65537, 65536], [65534, 65535, 65536, 65537]),
    ],
)
def test_what_came_is_put_in_order_once(came: list[int], due: list[int]) -> None:
    assert ordered(*came) == due


def test_a_lost_packet_is_waited_for_and_then_given_up() -> None:
    assert ordered(1, 3, 4, 5, 6) == [1]
    assert ordered(1, 3, 4, 5, 6, 7) == [1, 3, 4, 5, 6, 7]
    assert ordered(1, 3, 4, 5, 6, 7, 2, 8) == [1, 3, 4, 5, 6, 7, 8]


def test_after_a_long_loss_it_goes_on_where_the_stream_is() -> None:
    assert ordered(1, *range(1000, 1010)) == [1, *range(1000, 1010)]
