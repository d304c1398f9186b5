"""Conditions become what the kernel must hold, and the words of tc that say so."""

from __future__ import annotations

import pytest

from screamlab.errors import BadInput
from screamlab.impair.condition import (
    Condition,
    FourState,
    GilbertElliott,
    IndependentLoss,
    Reorder,
    Selector,
    Slot,
)
from screamlab.impair.tc import Loss, Netem, ifb_of, netem_words, tbf_words
from screamlab.impair.translate import facing_direction, half, matches

PEERS = Selector(peers=("198.19.0.0/24", "198.19.1.7"), ports=(40000,))


def netem(condition: Condition) -> Netem:
    return half(condition, ()).netem


def words(condition: Condition) -> str:
    return " ".join(netem_words(netem(condition)))


def filters(selector: Selector | None, facing: str, direction: str) -> list[str]:
    return [" ".join(match.words()) for match in matches(selector, facing, direction)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("facing", "of_host", "direction"),
    [
        ("network", "from_host", "egress"),
        ("network", "to_host", "ingress"),
        ("host", "from_host", "ingress"),
        ("host", "to_host", "egress"),
    ],
)
def test_a_device_sees_the_directions_of_the_host_it_faces(
    facing: str, of_host: str, direction: str
) -> None:
    assert facing_direction(facing, of_host) == direction  # type: ignore[arg-type]


def test_peers_are_destinations_of_what_leaves_towards_the_network() -> None:
    assert filters(PEERS, "network", "egress") == [
        "ip_proto udp dst_ip 198.19.0.0/24 src_port 40000",
        "ip_proto udp dst_ip 198.19.0.0/24 dst_port 40000",
        "ip_proto udp dst_ip 198.19.1.7 src_port 40000",
        "ip_proto udp dst_ip 198.19.1.7 dst_port 40000",
    ]


@pytest.mark.parametrize(
    ("facing", "direction", "side"),
    [("network", "ingress", "src"), ("host", "egress", "src"), ("host", "ingress", "dst")],
)
def test_peers_are_looked_for_on_their_own_side(facing: str, direction: str, side: str) -> None:
    one = Selector(peers=("198.19.1.7",))
    assert filters(one, facing, direction) == [f"ip_proto udp {side}_ip 198.19.1.7"]


def test_ports_of_any_protocol_are_those_of_udp_and_tcp() -> None:
    both = Selector(peers=("0.0.0.0/0",), ports=(53,), protocol="any")
    assert filters(both, "network", "egress") == [
        "ip_proto udp src_port 53",
        "ip_proto udp dst_port 53",
        "ip_proto tcp src_port 53",
        "ip_proto tcp dst_port 53",
    ]


def test_without_a_selector_every_packet_is_taken() -> None:
    assert filters(None, "host", "egress") == [""]


def test_a_perfect_network_keeps_order_and_does_nothing_else() -> None:
    assert words(Condition()) == "limit 1000 rate 100000000000bit"
    assert half(Condition(), ()).tbf is None


def test_the_limit_has_room_for_what_is_delayed_and_queued() -> None:
    assert netem(Condition(delay_ms=200)).limit == 1000 + 4000
    assert netem(Condition(delay_ms=200, jitter_ms=10)).limit == pytest.approx(1000 + 4800, abs=2)
    assert netem(Condition(delay_ms=200, rate_kbit=1000, queue_ms=300)).limit == 1000 + 10000
    assert netem(Condition(slot=Slot(min_ms=5, max_ms=50))).limit == 1000 + 1000
    assert netem(Condition(delay_ms=200, limit_packets=7)).limit == 7


def test_order_is_kept_by_a_rate_that_delays_nothing_or_not_at_all() -> None:
    free = Condition(delay_ms=40, jitter_ms=10, keep_order=False)
    assert "rate" not in words(free)
    assert netem(free.model_copy(update={"keep_order": True})).rate == 12.5e9


def test_losses() -> None:
    one = IndependentLoss(model="independent", percent=2)
    assert netem(Condition(loss=one)).loss == Loss("random", (0.02,))
    two = GilbertElliott(model="gilbert_elliott", to_bad_percent=1, to_good_percent=25)
    assert "loss gemodel 1% 25% 100% 0%" in words(Condition(loss=two))
    four = FourState(model="four_state", p13_percent=1, p31_percent=30, p14_percent=0.5)
    assert "loss state 1% 30% 0% 0% 0.5%" in words(Condition(loss=four))
    assert netem(Condition(loss=two, down=True)).loss == Loss("random", (1.0,))


def test_correlated_loss_loses_as_much_and_in_a_row() -> None:
    loss = netem(
        Condition(loss=IndependentLoss(model="independent", percent=5, correlation_percent=50))
    ).loss
    assert loss and loss.model == "gemodel"
    begin, end, bad, good = loss.shares
    assert (bad, good) == (1.0, 0.0)
    assert begin / (begin + end) == pytest.approx(0.05)
    assert 1 - end - begin == pytest.approx(0.5)


def test_a_rate_is_a_queue_of_its_own_depth() -> None:
    tbf = half(Condition(rate_kbit=8000, queue_ms=200), ()).tbf
    assert tbf and tbf_words(tbf) == ["rate", "8000000bit", "burst", "10000b", "limit", "200000b"]


def test_where_rates_change_often_bursts_are_a_small_share_of_a_step() -> None:
    tbf = half(Condition(rate_kbit=8000), (), step_s=0.1).tbf
    assert tbf and tbf.burst == 2000


def test_a_queue_lets_one_frame_pass_at_any_rate() -> None:
    tbf = half(Condition(rate_kbit=64, queue_ms=20), (), mtu=9000).tbf
    assert tbf and min(tbf.burst, tbf.limit) >= 9014


def test_a_step_without_a_rate_among_others_has_an_open_queue() -> None:
    tbf = half(Condition(), (), queue=True).tbf
    assert tbf and tbf.rate == 1.25e9


def test_reordering_needs_a_delay() -> None:
    reorder = Reorder(percent=25, correlation_percent=50, gap=5)
    asked = Condition(delay_ms=20, keep_order=False, reorder=reorder)
    assert words(asked).endswith("delay 20000us reorder 25% 50% gap 5")
    with pytest.raises(BadInput, match="needs a delay"):
        netem(Condition(keep_order=False, reorder=reorder))


def test_jitter_beyond_what_netem_counts_is_refused() -> None:
    with pytest.raises(BadInput, match="2100 ms"):
        netem(Condition(delay_ms=9000, jitter_ms=3000))


def test_a_change_names_what_netem_would_keep() -> None:
    before = netem(
        Condition(
            delay_ms=10,
            jitter_ms=2,
            delay_correlation_percent=10,
            corrupt_percent=1,
            slot=Slot(min_ms=1, max_ms=2, packets=3),
        )
    )
    after = netem(Condition(delay_ms=20, jitter_ms=2, distribution="uniform", keep_order=False))
    assert " ".join(netem_words(after, before)) == (
        f"limit {after.limit} delay 20000us 2000us 0% distribution {after.table} "
        "corrupt 0% rate 0bit slot 0us 0us"
    )


def test_a_distribution_that_is_there_is_not_sent_again() -> None:
    asked = netem(Condition(delay_ms=20, jitter_ms=2))
    assert "distribution" in netem_words(asked)
    assert "distribution" not in netem_words(asked, asked)


@pytest.mark.parametrize("device", ["eth0", "abcdefghijkl", "abcdefghijklmno"])
def test_an_ifb_has_a_name_the_kernel_takes(device: str) -> None:
    assert len(ifb_of(device)) <= 15


def test_long_names_have_ifbs_of_their_own() -> None:
    assert ifb_of("abcdefghijklmn1") != ifb_of("abcdefghijklmn2")
