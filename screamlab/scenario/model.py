"""The scenario file: where, what runs, what is watched, what must hold – as plain data."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from screamlab.errors import BadInput
from screamlab.impair.condition import Schedule
from screamlab.impair.profile import find_profile, load_profile
from screamlab.judge.checks import validate_check
from screamlab.paths import PROFILES
from screamlab.scenario.override import override
from screamlab.scenario.plan import Codec, PhaseKind, Protocol
from screamlab.scenario.scale import at_scale
from screamlab.scenario.yaml_lines import Source, find, load

Client = Literal["native", "gstreamer"]
NAME = r"^[a-z0-9][a-z0-9-]*$"
KINDS: dict[Client, frozenset[tuple[Protocol, Codec]]] = {
    "native": frozenset({("scream", "l16"), ("rtp", "l16")}),
    "gstreamer": frozenset({("rtp", "l16"), ("rtp", "opus")}),
}


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
    protocol: Protocol
    codec: Codec = "l16"
    client: Client
    count: int = Field(ge=0)

    @model_validator(mode="after")
    def _client_can(self) -> _StreamGroup:
        if (self.protocol, self.codec) not in KINDS[self.client]:
            raise ValueError(f"a {self.client} client does not speak {self.codec} over "
                             f"{self.protocol}")  # fmt: skip
        return self


class SenderGroup(_StreamGroup):
    """`count` sources of one kind, each with its own signal, address and SSRC."""

    announce: bool = Field(default=False, description="by SAP, as old routers need for RTP")


class ReceiverGroup(_StreamGroup):
    """`count` sinks of one kind; sink k hears `mix` senders of the group `hears`, in turn."""

    hears: str
    mix: int = Field(default=1, ge=1)


class ImpairmentSpec(_Strict):
    """A profile on the links of some hosts, for the length of a phase of kind ``impaired``."""

    name: str = Field(pattern=NAME)
    profile: str = Field(description="name of a profile, or path of a file")
    phase: str
    links: Literal["router", "clients"]
    at_most: int | None = Field(default=None, ge=1, description="break only so many links")


class Watch(_Strict):
    """What is sampled, how often."""

    interval_seconds: float = Field(default=1.0, gt=0)


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
    phases: tuple[PhaseSpec, ...] = Field(min_length=1)
    senders: tuple[SenderGroup, ...] = ()
    receivers: tuple[ReceiverGroup, ...] = ()
    impairments: tuple[ImpairmentSpec, ...] = ()
    schedules: dict[str, Schedule] = Field(default={}, description="by profile; never in the file")
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
        raise scaled.error(first["loc"], message) from error
    _validate_across(scenario, scaled)
    return scenario.model_copy(update={"schedules": _schedules(scenario, scaled)})


def find_scenario(name: str, folder: Path) -> Path:
    """The file of a scenario given by name or path."""
    return find("scenario", name, folder)


def _known_keys(loc: tuple[str | int, ...]) -> str:
    models: dict[str, type[BaseModel]] = {
        "hosts": Hosts,
        "phases": PhaseSpec,
        "senders": SenderGroup,
        "receivers": ReceiverGroup,
        "impairments": ImpairmentSpec,
        "watch": Watch,
    }
    model = models.get(str(loc[0]), Scenario) if len(loc) > 1 else Scenario
    return ", ".join(model.model_fields)


def _validate_across(scenario: Scenario, source: Source) -> None:
    for part in ("phases", "senders", "receivers", "impairments"):
        names: set[str] = set()
        for at, item in enumerate(getattr(scenario, part)):
            if item.name in names:
                raise source.error((part, at, "name"), f"'{item.name}' is taken already")
            names.add(item.name)
    if scenario.phases[0].kind != "null_path":
        raise source.error(("phases", 0, "kind"), "the first phase is the null path")
    if not any(phase.kind == "hold" for phase in scenario.phases):
        raise source.error(("phases",), "there is no phase of kind hold, so nothing to judge")
    senders = {group.name: group for group in scenario.senders}
    for at, receiver in enumerate(scenario.receivers):
        if receiver.hears not in senders:
            raise source.error(
                ("receivers", at, "hears"), f"there is no sender group '{receiver.hears}'"
            )
        if receiver.mix > max(1, senders[receiver.hears].count):
            raise source.error(
                ("receivers", at, "mix"), f"'{receiver.hears}' has fewer senders than that"
            )
    _validate_impairments(scenario, source)
    for at, check in enumerate(scenario.checks):
        try:
            validate_check(check)
        except ValueError as error:
            raise source.error(("checks", at), str(error)) from error


def _validate_impairments(scenario: Scenario, source: Source) -> None:
    kinds = {phase.name: phase.kind for phase in scenario.phases}
    broken = set()
    for at, item in enumerate(scenario.impairments):
        if kinds.get(item.phase) != "impaired":
            raise source.error(
                ("impairments", at, "phase"), f"there is no phase '{item.phase}' of kind impaired"
            )
        if (item.phase, item.links) in broken:
            raise source.error(
                ("impairments", at, "links"),
                f"the links of {item.links} are impaired already in phase '{item.phase}'",
            )
        broken.add((item.phase, item.links))
    for at, phase in enumerate(scenario.phases):
        if phase.kind == "impaired" and phase.name not in {name for name, _ in broken}:
            raise source.error(("phases", at), f"no impairment names the phase '{phase.name}'")


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
