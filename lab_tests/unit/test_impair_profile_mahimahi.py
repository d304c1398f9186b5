"""mahimahi's packet-delivery traces as rates: bytes are kept, stalls hold packets back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from screamlab.impair.mahimahi import DeliveryTrace, rates, read_delivery_trace
from screamlab.impair.profile import load_profile
from screamlab.impair.trace import STALL_KBIT
from screamlab.paths import CHECKOUT

HEAD = "name: tiny\ntitle: t\nsource: this test\ntrace:\n  format: mahimahi\n"


def carried_bytes(steps: list[tuple[float, float]], until_s: float) -> float:
    """What the rates let through from 0 to `until_s`."""
    edges = [*(at_s for at_s, _ in steps), until_s]
    widths = np.diff([min(edge, until_s) for edge in edges])
    return float(sum(widths * [rate * 125 for _, rate in steps]))


@pytest.mark.parametrize("bin_ms", [20.0, 100.0, 330.0])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_byte_of_a_trace_is_carried(seed: int, bin_ms: float) -> None:
    rng = np.random.default_rng(seed)
    at_ms = np.sort(rng.integers(0, 5137, 4000))
    trace = DeliveryTrace(tuple(at_ms.tolist()), int(at_ms[-1]))
    period_s = trace.period_ms / 1e3
    steps = rates(trace, bin_ms)
    assert carried_bytes(steps, period_s) == pytest.approx(4000 * 1500)
    # Not only in sum: up to each bin's end as well, to the opportunities of one millisecond.
    count = round(trace.period_ms / bin_ms)
    for edge_ms in np.arange(1, count) * trace.period_ms / count:
        expected = int((at_ms <= edge_ms).sum()) * 1500
        assert carried_bytes(steps, edge_ms / 1e3) == pytest.approx(expected)


def test_a_fixed_rate_is_one_rate() -> None:
    # mm-link(1): a file of the single line 1 is a link of 12 Mbit/s.
    assert rates(DeliveryTrace((1,), 1)) == [(0.0, 12000.0)]
    assert rates(DeliveryTrace(tuple(range(1, 1001)), 1000)) == [(0.0, 12000.0)]


def test_a_stall_holds_packets_back_and_loses_none(tmp_path: Path) -> None:
    at_ms = [*range(1, 501), *range(801, 1001)]
    (tmp_path / "t").write_text("".join(f"{at}\n" for at in at_ms))
    file = tmp_path / "tiny.yml"
    file.write_text(HEAD + "  to_host: {file: t, queue_bytes: 60000}\n")
    schedule = load_profile(file).schedule()
    found = [(round(step.at_s, 3), step.to_host.rate_kbit) for step in schedule.steps]
    assert found == [(0.0, 12000.0), (0.5, STALL_KBIT), (0.8, 12000.0)]
    assert schedule.repeat_s == 1.0
    for step in schedule.steps:
        assert not step.to_host.down
        assert step.to_host.loss is None
        # The queue before the link is as many bytes, whatever the rate.
        assert step.to_host.queue_ms * step.to_host.rate_kbit / 8 == pytest.approx(60000)


def test_the_shorter_of_two_traces_begins_again_until_the_longer_ends(tmp_path: Path) -> None:
    (tmp_path / "up").write_text("100\n200\n200\n")
    (tmp_path / "down").write_text("500\n")
    file = tmp_path / "tiny.yml"
    file.write_text(HEAD + "  from_host: {file: up}\n  to_host: {file: down}\n")
    schedule = load_profile(file).schedule()
    assert schedule.repeat_s == 0.5
    assert [(round(s.at_s, 3), s.from_host.rate_kbit) for s in schedule.steps] == [
        (0.0, 120), (0.1, 240), (0.2, 120), (0.3, 240), (0.4, 120)
    ]  # fmt: skip
    # Four bins of 500 ms have no opportunity.
    assert {s.to_host.rate_kbit for s in schedule.steps[:4]} == {STALL_KBIT}
    assert schedule.steps[4].to_host.rate_kbit == 120


def test_the_shipped_trace_keeps_its_mean_rate() -> None:
    folder = CHECKOUT / "lab_tests" / "profiles"
    schedule = load_profile(folder / "cell-trace.yml").schedule()
    trace = read_delivery_trace(folder / "cell-trace-up.txt")
    until_s = trace.period_ms / 1e3
    steps = [(step.at_s, step.from_host.rate_kbit or 0.0) for step in schedule.steps]
    stalled_s = 0.5
    assert schedule.repeat_s == until_s
    assert carried_bytes(steps, until_s) == pytest.approx(
        len(trace.at_ms) * 1500, abs=STALL_KBIT * 125 * stalled_s + 1
    )
