"""What a network does to packets: conditions, and when each of them holds.

Directions are those of the host whose link is impaired: `from_host` is what it sends, `to_host`
what it is sent, wherever on the link the impairment sits.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Percent = Annotated[float, Field(ge=0, le=100)]
Shape = Literal["uniform", "normal", "pareto", "paretonormal"]
# A device faces the network when it is the host's own, and the host when it is the far end of
# the host's link, as a bridge in the middle has it.
Facing = Literal["network", "host"]


class Strict(BaseModel):
    """Data that is written by people or read from plans: no unknown keys, no change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class IndependentLoss(Strict):
    """Every packet is lost with the same probability, or in correlation with the one before."""

    model: Literal["independent"]
    percent: Percent
    correlation_percent: Percent = 0.0


class GilbertElliott(Strict):
    """A good and a bad state with their own loss (Gilbert 1960, Elliott 1963; tc-netem(8))."""

    model: Literal["gilbert_elliott"]
    to_bad_percent: Percent = Field(description="p, per packet")
    to_good_percent: Annotated[float, Field(gt=0, le=100)] = Field(description="r, per packet")
    bad_loss_percent: Percent = Field(default=100.0, description="1-h")
    good_loss_percent: Percent = Field(default=0.0, description="1-k")


class FourState(Strict):
    """The four-state Markov model of tc-netem(8) (Salsano, Ludovici, Ordine, Giannuzzi 2009).

    State 1 receives, 4 loses one packet, 3 is a burst, 2 receives within a burst.
    """

    model: Literal["four_state"]
    p13_percent: Percent
    p31_percent: Percent
    p32_percent: Percent = 0.0
    p23_percent: Percent = 0.0
    p14_percent: Percent = 0.0


Loss = Annotated[IndependentLoss | GilbertElliott | FourState, Field(discriminator="model")]


class Reorder(Strict):
    """Every `gap`-th packet, or with `percent` probability, is sent at once, past the delay."""

    percent: Percent
    correlation_percent: Percent = 0.0
    gap: int = Field(default=1, ge=1)


class Slot(Strict):
    """Packets leave in slots that are `min_ms` to `max_ms` apart, as on Wi-Fi or DOCSIS."""

    min_ms: float = Field(ge=0)
    max_ms: float = Field(ge=0)
    packets: int | None = Field(default=None, ge=1)
    bytes: int | None = Field(default=None, ge=1)


class Condition(Strict):
    """What happens to packets in one direction; the default is a perfect network.

    Either `delay_ms` with `jitter_ms` and a `distribution` as tc-netem(8) has them (the standard
    deviation of normal, half the width of uniform), or `delay_quantiles_ms`: measured delays at
    evenly spaced probabilities from 0 to 1. netem's delay correlation is passed on and does next
    to nothing (measured on Linux 6.1).
    """

    delay_ms: float = Field(default=0.0, ge=0)
    jitter_ms: float = Field(default=0.0, ge=0)
    distribution: Shape = "normal"
    delay_quantiles_ms: tuple[float, ...] = ()
    delay_correlation_percent: Percent = 0.0
    keep_order: bool = Field(default=True, description="jitter reorders no packets")
    loss: Loss | None = None
    duplicate_percent: Percent = 0.0
    corrupt_percent: Percent = 0.0
    reorder: Reorder | None = None
    rate_kbit: float | None = Field(default=None, gt=0)
    queue_ms: float | None = Field(default=None, gt=0, description="depth of the queue at the rate")
    slot: Slot | None = None
    limit_packets: int | None = Field(default=None, ge=1, description="computed when absent")
    seed: int | None = Field(default=None, ge=0)
    down: bool = Field(default=False, description="the link is cut: everything is lost")

    @field_validator("delay_quantiles_ms")
    @classmethod
    def _rise(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if value and (len(value) < 11 or list(value) != sorted(value) or value[0] < 0):
            raise ValueError("11 or more delays are needed, rising and not below 0")
        return value

    @model_validator(mode="after")
    def _agree(self) -> Condition:
        if self.delay_quantiles_ms and (self.delay_ms or self.jitter_ms):
            raise ValueError("delay_quantiles_ms says it all: leave out delay_ms and jitter_ms")
        if self.queue_ms is not None and self.rate_kbit is None:
            raise ValueError("queue_ms is the depth of a queue at rate_kbit, which is missing")
        if self.reorder and self.keep_order:
            raise ValueError("reorder needs keep_order: false")
        return self


class Step(Strict):
    """From `at_s` after the begin of the schedule on, this holds in each direction."""

    at_s: float = Field(ge=0)
    from_host: Condition = Condition()
    to_host: Condition = Condition()


class Schedule(Strict):
    """Conditions over time: steps in rising order, the first at 0; begun again at `repeat_s`."""

    steps: tuple[Step, ...] = Field(min_length=1)
    repeat_s: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _ordered(self) -> Schedule:
        times = [step.at_s for step in self.steps]
        if times[0] != 0 or any(a >= b for a, b in zip(times, times[1:], strict=False)):
            raise ValueError("steps rise in at_s and the first is at 0")
        if self.repeat_s is not None and self.repeat_s <= times[-1]:
            raise ValueError("repeat_s lies after the last step")
        return self


class Selector(Strict):
    """The only packets that are touched: to and from these peers, of this kind."""

    peers: tuple[str, ...] = Field(min_length=1, description="IPv4 networks")
    ports: tuple[int, ...] = Field(default=(), description="source or destination; none: all")
    protocol: Literal["udp", "tcp", "any"] = "udp"

    @field_validator("peers")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(ipaddress.IPv4Network(peer)) for peer in value)


class Impairment(Strict):
    """A profile at work on the link of one host (`target`), on the plan's clock."""

    profile: str
    target: str
    device: str = Field(description="on the impairment point, which carries out the plan")
    facing: Facing
    selector: Selector
    schedule: Schedule
    from_s: float
    to_s: float
