"""A probe stream: the lab's own packets over one link in one direction, as plans hold it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from screamlab.impair.condition import Strict
from screamlab.scenario.plan import Endpoint

Direction = Literal["from_host", "to_host"]
DIRECTIONS: tuple[Direction, ...] = ("from_host", "to_host")


class ProbeStream(Strict):
    """Packets from `local` to `remote` on a steady beat, past the impairments of `target`.

    `direction` is that of the target's link. The same stream stands in the plans of the host that
    sends it and of the one that receives it; the names of the streams of a run differ.
    """

    name: str
    target: str = Field(description="host whose link is probed")
    direction: Direction
    local: Endpoint
    remote: Endpoint
    interval_ms: float = Field(default=10.0, ge=1)
    payload_bytes: int = Field(default=160, ge=24, le=1400, description="of the datagram")
    from_s: float
    to_s: float
