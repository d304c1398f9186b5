"""The compiled plan: what one host does, from when to when, relative to a shared start.

The controller writes one `Plan` per host as JSON; the host's agent carries it out alone. All
times are seconds after the plan's zero, which is the unix time handed over at launch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from screamlab.errors import BadInput
from screamlab.impair.condition import Impairment

Protocol = Literal["scream", "rtp", "webrtc", "mp3"]
Codec = Literal["l16", "opus", "mp3"]
PhaseKind = Literal["null_path", "settle", "ramp", "hold", "churn", "impaired", "recover", "drain"]
# Streams whose names begin so go straight from sender to receiver, past the router.
NULL_PREFIX = "null/"
PLAYOUT_MS = 100.0


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Endpoint(_Strict):
    """An IPv4 address and a UDP port."""

    address: str
    port: int = Field(ge=0, le=65535)


class SenderStream(_Strict):
    """One source of audio: what it plays, whence and where to, from when to when."""

    name: str
    protocol: Protocol
    codec: Codec = "l16"
    signal: int = Field(ge=0, description="index into screamlab.signal's table of signals")
    local: Endpoint
    remote: Endpoint
    ssrc: int | None = Field(default=None, ge=0, le=0xFFFFFFFF, description="RTP only, RFC 3550")
    payload_type: int | None = Field(default=None, ge=0, le=127, description="RTP only")
    rate_hz: int = 48000
    channels: int = 2
    from_s: float
    to_s: float


class Heard(_Strict):
    """A sender that a receiver must hear, or must not, by name and by signal."""

    sender: str
    signal: int


class ReceiverStream(_Strict):
    """One listener: where it listens, what it must hear, and what would be crosstalk."""

    name: str
    protocol: Protocol
    codec: Codec = "l16"
    local: Endpoint
    hears: tuple[Heard, ...]
    foreign: tuple[Heard, ...] = ()
    payload_type: int | None = Field(default=None, ge=0, le=127, description="RTP only")
    lossy: bool = Field(default=False, description="a lossy codec lies anywhere on the way")
    sink: str | None = Field(default=None, description="the router's sink it hears, if any")
    rate_hz: int = 48000
    channels: int = 2
    playout_ms: float = Field(
        default=PLAYOUT_MS, description="jitter buffer of the emulated player"
    )
    from_s: float
    to_s: float


class Worker(_Strict):
    """One worker process of the agent; `kind` names an entry of `screamlab.agent.workers`."""

    name: str
    kind: str
    from_s: float
    to_s: float
    spec: dict[str, Any] = {}


class Phase(_Strict):
    """A named stretch of the timeline."""

    name: str
    kind: PhaseKind
    from_s: float
    to_s: float


class Plan(_Strict):
    """Everything one host needs to know to play its part of a run."""

    schema_version: Literal[1] = 1
    run_id: str
    host: str
    scenario: str
    scale: str
    seed: int
    duration_s: float
    phases: tuple[Phase, ...]
    device: str | None = Field(default=None, description="data interface that carries `addresses`")
    addresses: tuple[str, ...] = Field(default=(), description="CIDR, added for the run")
    wakeup_latency_us: int | None = Field(
        default=None, description="the longest its processors may take to wake up; None: any time"
    )
    environment: dict[str, str] = Field(default={}, description="what its agent is started with")
    workers: tuple[Worker, ...]

    @property
    def impairments(self) -> tuple[Impairment, ...]:
        """What this host breaks."""
        return tuple(
            Impairment.model_validate(item)
            for worker in self.workers
            if worker.kind == "impairment"
            for item in worker.spec["impairments"]
        )


def read_plan(path: Path) -> Plan:
    """Read a plan file; `BadInput` names the file and what is wrong with it."""
    try:
        return Plan.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadInput(f"{path}: {where or 'plan'}: {first['msg']}") from error
