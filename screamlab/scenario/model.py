"""The scenario file: where, what runs, what is watched, what must hold – as plain data."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Literal
from xml.etree import ElementTree

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from screamlab.errors import BadInput
from screamlab.impair.condition import Schedule
from screamlab.impair.profile import find_profile, load_profile
from screamlab.inject.worker import KINDS as FAULTS
from screamlab.inject.worker import AnyFault
from screamlab.paths import PROFILES
from screamlab.scenario.across import validate_across
from screamlab.scenario.clients import KINDS, Client, Speaks
from screamlab.scenario.instrument import TOOLS, Instrument
from screamlab.scenario.override import override
from screamlab.scenario.plan import Codec, PhaseKind
from screamlab.scenario.scale import at_scale
from screamlab.scenario.verbose import verbose
from screamlab.scenario.yaml_lines import Source, find, load

NAME = r"^[a-z0-9][a-z0-9-]*$"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Hosts(_Strict):
    """Inventory groups that play the parts of a scenario."""

    router: str = "routers"
    clients: str = "clients"
    at_most: int | None = Field(default=None, ge=1, description="use only so many clients")


class PhaseSpec(_Strict):
    """A stretch of the timeline; phases follow one another in the order of the file."""

    name: str = Field(pattern=NAME)
    kind: PhaseKind
    seconds: float = Field(gt=0)


class _StreamGroup(_Strict):
    name: str = Field(pattern=NAME)
    protocol: Speaks
    codec: Codec = "l16"
    client: Client
    count: int = Field(ge=0)

    does: ClassVar[Literal["sends", "hears"]]

    @model_validator(mode="after")
    def _client_can(self) -> _StreamGroup:
        able = getattr(KINDS[self.client], self.does)
        if (self.protocol, self.codec) not in able:
            known = ", ".join(sorted(f"{codec} over {protocol}" for protocol, codec in able))
            what = self.does.removesuffix("s")
            raise ValueError(
                f"a {self.client} client does not {what} {self.codec} over {self.protocol}; it "
                f"{self.does} {known or 'nothing'}"
            )
        return self


class SenderGroup(_StreamGroup):
    """`count` sources of one kind, each with its own signal, address and SSRC."""

    does = "sends"
    announce: bool = Field(default=False, description="by SAP, as old routers need for RTP")
    xml: str | None = Field(default=None, description="sipp: a scenario file of one's own")


class ReceiverGroup(_StreamGroup):
    """`count` listeners of one kind; listener k hears `mix` senders of `hears`, in turn.

    Each has a sink of the router's for itself, but for those that ask the router for the sound
    (``webrtc``, ``mp3``): of these, all that hear the same share one.
    """

    does = "hears"
    hears: str
    mix: int = Field(default=1, ge=1)


class DeviceGroup(_Strict):
    """`count` SIP devices that register, answer OPTIONS, and do not call."""

    name: str = Field(pattern=NAME)
    client: Literal["sipp"] = "sipp"
    count: int = Field(ge=0)
    xml: str | None = Field(default=None, description="a sipp scenario file of one's own")


class ChurnGroup(_Strict):
    """`cycles` of connecting, holding and going again, spread over a phase.

    The phase is of kind ``churn``, which is judged against the quiet before and after, or ``hold``,
    where now and then a newcomer shows that the router still takes them.

    ``sip``: REGISTER and un-REGISTER. ``rtp``: a stream begins, is heard at a sink, ends.
    ``webrtc``: a listener of the group `hears` comes and goes. ``config``: source, sink and route
    are added and removed through the router's API. `overlap` of them are under way at once at most.
    """

    name: str = Field(pattern=NAME)
    kind: Literal["sip", "rtp", "webrtc", "config"]
    phase: str
    cycles: int = Field(ge=0)
    hold_seconds: tuple[float, float] = (0.5, 3.0)
    overlap: int = Field(default=4, ge=1)
    hears: str | None = None


class ImpairmentSpec(_Strict):
    """A profile on the links of some hosts, for the length of a phase of kind ``impaired``."""

    name: str = Field(pattern=NAME)
    profile: str = Field(description="name of a profile, or path of a file")
    phase: str
    links: Literal["router", "clients"]
    at_most: int | None = Field(default=None, ge=1, description="break only so many links")


class Capture(_Strict):
    """Packets that are kept around incidents: dropouts, crashes, hangs, failed SIP requests.

    Each host of `hosts` has a ring of its latest packets, and at most `incidents` are cut out of
    it, `cap_mib` together. Of packets other than SIP `snap_bytes` are kept.
    """

    hosts: Literal["router", "clients", "all"]
    around_seconds: float = Field(default=5.0, gt=0, le=25)
    ring_mib: float = Field(default=32.0, ge=4, le=4096)
    incidents: int = Field(default=20, ge=1, le=999)
    cap_mib: float = Field(default=100.0, gt=0)
    snap_bytes: int = Field(default=80, ge=64, le=65535, description="64: Ethernet up to RTP")


class Watch(_Strict):
    """What is sampled, how often."""

    interval_seconds: float = Field(default=1.0, gt=0)
    workers: bool = Field(default=False, description="what each kind of client costs its host")
    capture: Capture | None = None
    verbose: bool = Field(default=False, description="all that the router logs; see `verbose.py`")


class Scenario(_Strict):
    """One scenario at one scale."""

    name: str = Field(pattern=NAME)
    title: str
    test_plan: str | None = None
    description: str = ""
    scales: tuple[str, ...]
    scale: str = Field(description="the scale this was read at; never in the file")
    hosts: Hosts = Hosts()
    router: dict[str, Any] = Field(default={}, description="laid over the role's `router`")
    left_out: tuple[str, ...] = Field(default=(), description="checks not asked; never in the file")
    instrument: Instrument | None = Field(default=None, description="a tool the router runs under")
    phases: tuple[PhaseSpec, ...] = Field(min_length=1)
    senders: tuple[SenderGroup, ...] = ()
    receivers: tuple[ReceiverGroup, ...] = ()
    devices: tuple[DeviceGroup, ...] = ()
    churn: tuple[ChurnGroup, ...] = ()
    impairments: tuple[ImpairmentSpec, ...] = ()
    faults: tuple[AnyFault, ...] = Field(default=(), description="see `screamlab.inject`")
    schedules: dict[str, Schedule] = Field(default={}, description="by profile; never in the file")
    sipp_xml: dict[str, str] = Field(default={}, description="by group; never in the file")
    watch: Watch = Watch()
    checks: tuple[dict[str, Any], ...] = Field(min_length=1)


def load_scenario(path: Path, scale: str, settings: Iterable[str] = ()) -> Scenario:
    """Read, override, scale and validate a scenario; `BadInput` names file, line and key."""
    source = load(path)
    if not isinstance(source.data, dict):
        raise source.error((), "a scenario is a mapping of keys")
    for setting in settings:
        override(source, setting)
    scaled = at_scale(source, scale)
    try:
        scenario = Scenario.model_validate({**scaled.data, "scale": scale})
    except ValidationError as error:
        # A misspelt key is both unknown and missing; the unknown one is on a line of the file.
        first = min(error.errors(), key=lambda found: found["type"] == "missing")
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            message = f"there is no such key; known here: {_known_keys(first['loc'])}"
        where = _without_tag(first["loc"])
        if first["type"] == "union_tag_invalid":
            where += (first["ctx"]["discriminator"].strip("'"),)
        raise scaled.error(where, message) from error
    validate_across(scenario, scaled)
    checks, tool = scenario.checks, scenario.instrument
    if tool is not None:
        checks = tuple(check for check in checks if tool.tells(str(check["id"])))
        if not checks:
            raise scaled.error(
                ("instrument", "tool"), "it tells nothing that a check here asks for"
            )
    found = {
        "schedules": _schedules(scenario, scaled),
        "sipp_xml": _sipp_xml(scenario, scaled),
        "checks": checks,
    }
    if scenario.watch.verbose:
        found |= verbose(scenario.router, checks)
        if not found["checks"]:
            raise scaled.error(
                ("watch", "verbose"), "every check here judges what it would disturb"
            )
    return scenario.model_copy(update=found)


def find_scenario(name: str, folder: Path) -> Path:
    """The file of a scenario given by name or path."""
    return find("scenario", name, folder)


def _without_tag(loc: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """A path without what says which of several models was meant: it is no key of the file."""
    at = next((at for at, part in enumerate(loc) if part in {*TOOLS, *FAULTS}), len(loc))
    return loc[:at] + loc[at + 1 :]


def _known_keys(loc: tuple[str | int, ...]) -> str:
    models: dict[str, type[BaseModel]] = {
        "hosts": Hosts,
        **TOOLS,
        "phases": PhaseSpec,
        "senders": SenderGroup,
        "receivers": ReceiverGroup,
        "devices": DeviceGroup,
        "churn": ChurnGroup,
        "impairments": ImpairmentSpec,
        **FAULTS,
        "watch": Watch,
        "capture": Capture,
    }
    model = next((models[str(key)] for key in loc[-2::-1] if str(key) in models), Scenario)
    return ", ".join(model.model_fields)


def _sipp_xml(scenario: Scenario, source: Source) -> dict[str, str]:
    """The sipp scenarios of one's own, by group; their paths begin at the scenario's folder."""
    found = {}
    for part in ("senders", "devices"):
        for at, group in enumerate(getattr(scenario, part)):
            if group.xml is None:
                continue
            where = (part, at, "xml")
            if group.client != "sipp":
                raise source.error(where, f"a {group.client} client plays no sipp scenario")
            file = source.path.parent / group.xml
            try:
                found[group.name] = file.read_text(encoding="utf-8")
                ElementTree.fromstring(found[group.name])
            except (OSError, UnicodeDecodeError, ElementTree.ParseError) as error:
                reason = getattr(error, "strerror", None) or error
                raise source.error(where, f"{file} is no sipp scenario: {reason}") from error
    return found


def _schedules(scenario: Scenario, source: Source) -> dict[str, Schedule]:
    """The schedule of every profile that the scenario names."""
    schedules = {}
    for at, item in enumerate(scenario.impairments):
        try:
            file = find_profile(item.profile, PROFILES)
        except BadInput as error:
            raise source.error(("impairments", at, "profile"), str(error)) from error
        schedules[item.profile] = load_profile(file).schedule()
    return schedules
