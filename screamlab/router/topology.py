"""The router's configuration as desired state, and how to get there from what is configured.

Everything the lab makes carries the prefix `lab-` in the router and nothing else is touched, so
that an existing router keeps its own sources, sinks and routes. `config_id` is set to that name,
which makes it the `sink_id` of `/api/stats` too.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from screamlab.errors import BadInput
from screamlab.router.client import Json, Kind, RouterClient, RouterError, RouterTimeout

PREFIX = "lab-"
# RFC 863; for sinks that send nothing.
DISCARD = 9
# As the router names them. A `web_receiver` sends nothing by itself: listeners ask for its sound.
PROTOCOLS = {
    ("scream", "l16"): "scream",
    ("rtp", "l16"): "rtp",
    ("rtp", "opus"): "rtp_opus",
    ("webrtc", "opus"): "web_receiver",
    ("mp3", "mp3"): "web_receiver",
}
# An order in which nothing is ever added before, or removed after, what it hangs on.
ADD_ORDER: tuple[Kind, ...] = ("sources", "sinks", "routes")

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Strict):
    """Something that sends to the router, known by its address or by a tag of the router's."""

    name: Name
    protocol: Literal["scream", "rtp"] | None = None
    address: str | None = None
    tag: str | None = None

    @model_validator(mode="after")
    def _one_identity(self) -> Source:
        if (self.address is None) == (self.tag is None):
            raise ValueError(f"source {self.name} needs either an address or a tag")
        return self

    def fields(self) -> Json:
        """What the router is to hold for this source."""
        return {"ip": self.address, "tag": self.tag, "enabled": True, "volume": 1.0, "delay": 0}


class Sink(_Strict):
    """Something the router sends to, or listeners ask for.

    The MP3 stream of a sink is known by the sink's address, which must be its alone.
    """

    name: Name
    protocol: Literal["scream", "rtp", "webrtc", "mp3"]
    codec: Literal["l16", "opus", "mp3"] = "l16"
    address: str = "127.0.0.1"
    port: int = Field(default=DISCARD, ge=1, le=65535)
    rate_hz: Literal[44100, 48000, 88200, 96000, 192000] = 48000
    bit_depth: Literal[16, 24, 32] = 16
    channels: Literal[1, 2] = 2

    @model_validator(mode="after")
    def _known_codec(self) -> Sink:
        if (self.protocol, self.codec) not in PROTOCOLS:
            raise ValueError(f"sink {self.name}: {self.protocol} does not carry {self.codec}")
        return self

    def fields(self) -> Json:
        """What the router is to hold for this sink."""
        return {
            "ip": self.address,
            "port": self.port,
            "protocol": PROTOCOLS[self.protocol, self.codec],
            "sample_rate": self.rate_hz,
            "bit_depth": self.bit_depth,
            "channels": self.channels,
            "channel_layout": "mono" if self.channels == 1 else "stereo",
            "enabled": True,
            "volume": 1.0,
            "delay": 0,
            "time_sync": False,
            "enable_mp3": self.protocol == "mp3",
        }


class Route(_Strict):
    """A source that is to be heard at a sink."""

    name: Name
    source: Name
    sink: Name

    def fields(self) -> Json:
        """What the router is to hold for this route."""
        ends = {"source": PREFIX + self.source, "sink": PREFIX + self.sink}
        return {**ends, "enabled": True, "volume": 1.0, "delay": 0}


class Topology(_Strict):
    """All that the lab wants configured in one router."""

    sources: tuple[Source, ...] = ()
    sinks: tuple[Sink, ...] = ()
    routes: tuple[Route, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Topology:
        for kind in ADD_ORDER:
            names = [item.name for item in getattr(self, kind)]
            if twice := {name for name in names if names.count(name) > 1}:
                raise ValueError(f"{kind} are named twice: {', '.join(sorted(twice))}")
        sources = {source.name for source in self.sources}
        sinks = {sink.name for sink in self.sinks}
        for route in self.routes:
            if route.source not in sources or route.sink not in sinks:
                raise ValueError(f"route {route.name} joins a source or sink that is not declared")
        return self

    def wanted(self) -> State:
        """The lab's part of the configuration as the router would list it."""
        return {
            kind: {PREFIX + item.name: item.fields() for item in getattr(self, kind)}
            for kind in ADD_ORDER
        }

    def inputs_per_sink(self) -> dict[str, int]:
        """For each sink that is routed at all, by its name in the router, how many it hears."""
        pairs = {(route.source, route.sink) for route in self.routes}
        heard = [sink for _, sink in pairs]
        return {PREFIX + sink: heard.count(sink) for sink in heard}


State = dict[Kind, dict[str, Json]]

# The fields the lab sets; whatever else the router holds of a thing is left as it is.
_FIELDS: dict[Kind, Json] = {
    "sources": Source(name="x", tag="x").fields(),
    "sinks": Sink(name="x", protocol="rtp", address="x", port=1).fields(),
    "routes": Route(name="x", source="x", sink="x").fields(),
}


@dataclass(frozen=True)
class Change:
    """One call that brings the router closer to what is wanted."""

    action: Literal["add", "update", "remove"]
    kind: Kind
    name: str
    fields: Json

    def __str__(self) -> str:
        return f"{self.action} {self.kind.removesuffix('s')} {self.name}"


def parse_topology(data: Mapping[str, Any]) -> Topology:
    """Read a topology from plain data; `BadInput` names the key and what is wrong with it."""
    try:
        return Topology.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "topology"
        raise BadInput(f"{where}: {first['msg'].removeprefix('Value error, ')}") from error


def observe(client: RouterClient) -> State:
    """The lab's part of what the router has configured now."""
    state: State = {}
    for kind in ADD_ORDER:
        state[kind] = {
            str(item["name"]): {field: item.get(field) for field in _FIELDS[kind]}
            for item in client.items(kind)
            if str(item.get("name")).startswith(PREFIX)
        }
    return state


def plan(present: State, wanted: State) -> list[Change]:
    """The calls that lead from one state to the other: removals, then updates, then additions."""
    changes = [
        Change("remove", kind, name, {})
        for kind in reversed(ADD_ORDER)
        for name in present[kind]
        if name not in wanted[kind]
    ]
    for kind in ADD_ORDER:
        for name, fields in wanted[kind].items():
            if name not in present[kind]:
                changes.append(Change("add", kind, name, fields))
            elif differing := _differing(present[kind][name], fields):
                changes.append(Change("update", kind, name, differing))
    return changes


def apply(client: RouterClient, changes: list[Change]) -> None:
    """Make the calls one by one; after each, the router must still answer.

    Raises a `RouterError` that names the change: with many routes and live audio a change can
    leave the router's engine and API blocked for good.
    """
    for change in changes:
        try:
            _call(client, change)
            client.stats()
        except RouterTimeout as error:
            raise RouterTimeout(f"the router hangs since: {change} ({error})") from error
        except RouterError as error:
            raise RouterError(f"could not {change}: {error}") from error


def wait_until_applied(
    client: RouterClient, inputs_per_sink: Mapping[str, int], *, timeout_s: float
) -> None:
    """Wait until the engine runs every routed sink with as many inputs as are routed to it.

    The router accepts a change before its engine has it; only `/api/stats` tells. Raises
    `RouterTimeout` with the first sink that never came up.
    """
    deadline = time.monotonic() + timeout_s
    while lagging := _lagging(client, inputs_per_sink):
        if time.monotonic() > deadline:
            raise RouterTimeout(
                f"{len(lagging)} of {len(inputs_per_sink)} sinks are not run as configured after "
                f"{timeout_s:g} s, the first is {lagging[0]}"
            )
        time.sleep(0.2)


def _lagging(client: RouterClient, inputs_per_sink: Mapping[str, int]) -> list[str]:
    """The lab's sinks that the engine does not run with the wanted number of inputs."""
    running = {
        str(sink["sink_id"]): int(sink["total_input_streams"])
        for sink in client.stats()["sink_stats"]
        if str(sink["sink_id"]).startswith(PREFIX)
    }
    names = sorted(inputs_per_sink.keys() | running.keys())
    return [name for name in names if running.get(name) != inputs_per_sink.get(name)]


def _call(client: RouterClient, change: Change) -> None:
    match change.action:
        case "add":
            identity = {"name": change.name, "config_id": change.name}
            client.add(change.kind, {**identity, **change.fields})
        case "update":
            client.update(change.kind, change.name, {"name": change.name, **change.fields})
        case "remove":
            client.remove(change.kind, change.name)


def _differing(present: Json, wanted: Json) -> Json:
    return {key: value for key, value in wanted.items() if present.get(key) != value}
