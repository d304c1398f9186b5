"""Profiles: named networks as data, in files of `lab_tests/profiles/`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, PrivateAttr, ValidationError, model_validator

from screamlab.errors import BadInput
from screamlab.impair.condition import (
    Condition,
    FourState,
    GilbertElliott,
    IndependentLoss,
    Reorder,
    Schedule,
    Slot,
    Step,
    Strict,
)
from screamlab.impair.trace import (
    Course,
    Lane,
    Trace,
    merged,
    read_deliveries,
    read_rows,
    repeated,
)
from screamlab.scenario.yaml_lines import Loc, Source, find, load

NAME = r"^[a-z0-9][a-z0-9-]*$"
_LOSS: dict[str, type[BaseModel]] = {
    "independent": IndependentLoss,
    "gilbert_elliott": GilbertElliott,
    "four_state": FourState,
}


class _Directions(Strict):
    """`both` directions alike, or each as it is; one that is left out is perfect."""

    both: Condition | None = None
    from_host: Condition | None = None
    to_host: Condition | None = None

    @model_validator(mode="after")
    def _not_twice(self) -> _Directions:
        if self.both and (self.from_host or self.to_host):
            raise ValueError("either both, or from_host and to_host")
        return self

    def step(self, at_s: float) -> Step:
        """What holds from `at_s` on."""
        return Step(
            at_s=at_s,
            from_host=self.both or self.from_host or Condition(),
            to_host=self.both or self.to_host or Condition(),
        )


class ProfileStep(_Directions):
    """From `at_s` after the begin of the impairment on, this holds."""

    at_s: float = Field(ge=0)


class Profile(_Directions):
    """A network as a file describes it: constant, in steps, or as a trace.

    `from_host` is what the host whose link is impaired sends, `to_host` what it is sent.
    """

    name: str = Field(pattern=NAME)
    title: str
    source: str = Field(min_length=1, description="where the numbers come from")
    steps: tuple[ProfileStep, ...] = ()
    repeat_s: float | None = Field(default=None, gt=0)
    trace: Trace | None = None
    _folder: Path = PrivateAttr(default=Path())

    @model_validator(mode="after")
    def _one_way_of_saying(self) -> Profile:
        constant = self.both or self.from_host or self.to_host
        if sum(map(bool, (constant, self.steps, self.trace))) != 1:
            raise ValueError("exactly one of both, from_host/to_host, steps, trace says it")
        if self.repeat_s is not None and not self.steps:
            raise ValueError("repeat_s belongs to steps")
        return self

    def schedule(self) -> Schedule:
        """Conditions over time; `BadInput` when a trace file is not what it should be."""
        if self.trace:
            return _trace_schedule(self.trace, self._folder)
        if self.steps:
            steps = tuple(step.step(step.at_s) for step in self.steps)
            return Schedule(steps=steps, repeat_s=self.repeat_s)
        return Schedule(steps=(self.step(0.0),))


def load_profile(path: Path) -> Profile:
    """Read and validate a profile and its trace; `BadInput` names file, line and key."""
    source = load(path)
    if not isinstance(source.data, dict):
        raise source.error((), "a profile is a mapping of keys")
    try:
        profile = Profile.model_validate(source.data)
    except ValidationError as error:
        raise _sentence(error, source) from error
    profile._folder = path.parent
    try:
        profile.schedule()
    except ValidationError as error:
        loc = ("trace",) if profile.trace else ("steps",)
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise source.error(loc, message) from error
    if profile.name != path.stem:
        raise source.error(("name",), f"a profile is named as its file: '{path.stem}'")
    return profile


def find_profile(name: str, folder: Path) -> Path:
    """The file of a profile given by name or path."""
    return find("profile", name, folder)


def _trace_schedule(trace: Trace, folder: Path) -> Schedule:
    """The trace as steps.

    Two mahimahi traces of different lengths share one repetition: the shorter one begins again
    until the longer one ends, then both begin anew.
    """
    courses: dict[str, Course] = {}
    periods: dict[str, float] = {}
    for name, lane in (("from_host", trace.from_host), ("to_host", trace.to_host)):
        if lane is None:
            courses[name] = [(0.0, Condition())]
        elif trace.format == "rows":
            courses[name] = read_rows(folder / lane.file, lane)
        else:
            file = folder / lane.file
            courses[name], periods[name] = read_deliveries(file, lane, trace.bin_ms)
    repeat_s = max(periods.values(), default=trace.repeat_s)
    for name, period_s in periods.items():
        courses[name] = repeated(courses[name], period_s, repeat_s or period_s)
    steps = merged(courses["from_host"], courses["to_host"])
    return Schedule(steps=steps, repeat_s=repeat_s if len(steps) > 1 else None)


def _sentence(error: ValidationError, source: Source) -> BadInput:
    """The first mistake with its line; a misspelt key is both unknown and missing."""
    first = min(error.errors(), key=lambda found: found["type"] == "missing")
    loc = _in_file(first["loc"], source.data)
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = f"there is no such key; known here: {', '.join(_model(loc, source).model_fields)}"
    return source.error(loc, message)


def _in_file(loc: Loc, data: Any) -> Loc:
    """`loc` without what pydantic adds to it: the tag that chose a model of loss."""
    found: list[str | int] = []
    for part in loc:
        if isinstance(data, dict) and part not in data and data.get("model") == part:
            continue
        found.append(part)
        known = isinstance(data, list) or (isinstance(data, dict) and part in data)
        data = data[part] if known else None
    return tuple(found)


def _model(loc: Loc, source: Source) -> type[BaseModel]:
    """Which model the mapping around `loc` is read into."""
    data: Any = source.data
    for part in loc[:-1]:
        data = data[part]
    around = next((part for part in reversed(loc[:-1])), "")
    inside_trace = "trace" in loc[:-2]
    models: dict[str | int, type[BaseModel]] = {
        **dict.fromkeys(("both", "base"), Condition),
        **dict.fromkeys(("from_host", "to_host"), Lane if inside_trace else Condition),
        "loss": _LOSS.get(data.get("model"), IndependentLoss),
        "reorder": Reorder,
        "slot": Slot,
        "trace": Trace,
    }
    return ProfileStep if isinstance(around, int) else models.get(around, Profile)
