"""When the steps of an impairment are due, and what they are turned into."""

from __future__ import annotations

from itertools import islice

import pytest

from screamlab.errors import BadInput
from screamlab.impair import worker
from screamlab.impair.condition import Condition, Impairment, Schedule, Selector, Step
from screamlab.impair.plan import change


def impairment(*steps: Step, repeat_s: float | None = None) -> Impairment:
    return Impairment(
        profile="p",
        target="client1",
        device="lo",
        facing="host",
        selector=Selector(peers=("198.19.0.0/24",)),
        schedule=Schedule(steps=steps, repeat_s=repeat_s),
        from_s=10,
        to_s=20,
    )


def test_steps_are_due_on_the_plan_s_clock_and_again() -> None:
    it = impairment(Step(at_s=0), Step(at_s=0.1), Step(at_s=2), repeat_s=3.0)
    assert list(islice(worker._times(it.schedule, it.from_s), 5)) == [
        (10.1, 1),
        (12.0, 2),
        (13.0, 0),
        (13.1, 1),
        (15.0, 2),
    ]


def test_a_schedule_that_is_not_repeated_stays_at_its_last_step() -> None:
    it = impairment(Step(at_s=0), Step(at_s=1))
    assert list(islice(worker._times(it.schedule, 0.0), 2)) == [(1.0, 1), (float("inf"), 0)]


def test_steps_with_and_without_a_rate_differ_in_numbers_only() -> None:
    it = impairment(Step(at_s=0), Step(at_s=1, to_host=Condition(rate_kbit=1000)))
    directions = {"from_host": "ingress", "to_host": "egress"}
    first, second = worker._steps(it, directions, None)  # type: ignore[arg-type]
    assert first["ingress"].tbf is None and second["ingress"].tbf is None
    (command,) = change("lo", "egress", first["egress"], second["egress"])[-1:]
    assert command.words[:2] == ("qdisc", "change") and "tbf" in command.words


def test_a_spec_that_is_wrong_is_told() -> None:
    with pytest.raises(BadInput, match=r"impairment: impairments: .*at least 1"):
        worker.run({"impairments": []}, None)  # type: ignore[arg-type]
