"""What the churn workers are told: whose cycles, when, and what each lane connects with.

A lane is one of the clients of a group that are at work at the same time. It carries out its
cycles one after the other, each time as somebody new as far as its kind allows.
"""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from screamlab.errors import BadInput
from screamlab.scenario.plan import Endpoint

LIMIT_S = 5.0
"""How long connecting, and leaving, may take before a cycle has failed."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Cycle(_Strict):
    """Connect at `from_s`, leave at `to_s`; numbers are counted per group, from 1, by `from_s`."""

    number: int = Field(ge=1)
    lane: int = Field(ge=1)
    from_s: float
    to_s: float

    @model_validator(mode="after")
    def _holds(self) -> Cycle:
        if not self.from_s < self.to_s:
            raise ValueError(f"cycle {self.number} does not last")
        return self


class Lane(_Strict):
    """One of the clients of a group; `number` is what its cycles call it."""

    number: int = Field(ge=1)


class RtpLane(Lane):
    """A stream of `signal` from an address of its own into the router, and where it comes out."""

    local: Endpoint
    remote: Endpoint
    sink: Endpoint
    signal: int = Field(ge=0)


class ConfigLane(Lane):
    """A source that nobody plays, a sink, and routes to it: from that source and from `live`.

    `live` is the name, in the lab, of a source that plays all the time.
    """

    source: str = Field(description="IPv4 address that the source is known by")
    sink: Endpoint
    live: str | None = None


class WebrtcLane(Lane):
    """A listener of `sink` (its name in the lab), told apart from others by its `address`."""

    address: str
    sink: str


class SipLane(Lane):
    """A device's credentials."""

    user: str
    password: str


class Churn(_Strict):
    """The part of a churn group that one host carries out."""

    group: str
    cycles: tuple[Cycle, ...]
    limit_s: float = Field(default=LIMIT_S, gt=0)


class RtpChurn(Churn):
    """Spec of the worker ``churn_rtp``."""

    lanes: tuple[RtpLane, ...]


class ConfigChurn(Churn):
    """Spec of the worker ``churn_config``; `router` is the URL of its API."""

    router: str
    lanes: tuple[ConfigLane, ...]


class WebrtcChurn(Churn):
    """Spec of the worker ``churn_webrtc``; `router` as in `ConfigChurn`."""

    router: str
    lanes: tuple[WebrtcLane, ...]


class SipChurn(Churn):
    """Spec of the worker ``churn_sip``: all its devices share the host's `address`."""

    registrar: Endpoint
    domain: str
    address: str
    lanes: tuple[SipLane, ...]


C = TypeVar("C", bound=Churn)


def read_spec(model: type[C], spec: dict[str, Any]) -> C:
    """A worker's spec; `BadInput` names the key and what is wrong with it."""
    try:
        return model.model_validate(spec)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "spec"
        raise BadInput(f"churn: {where}: {first['msg'].removeprefix('Value error, ')}") from error
