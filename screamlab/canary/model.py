"""The file of canaries: which fault is planted into what run, and what must see it – as plain data.

A canary without a fault is a clean run: nothing must be seen there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from screamlab.errors import BadInput
from screamlab.judge.checks import some_check
from screamlab.judge.model import Outcome
from screamlab.paths import SCENARIOS
from screamlab.scenario.model import NAME, find_scenario, load_scenario
from screamlab.scenario.yaml_lines import load

_Name = Annotated[str, StringConstraints(pattern=NAME)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Result(_Strict):
    """Results of a check about a subject, both by glob."""

    check: str
    subject: str = "*"

    @field_validator("check", mode="after")
    @classmethod
    def _exists(cls, glob: str) -> str:
        return some_check(glob)

    def is_about(self, check: str, subject: str) -> bool:
        """Whether a result is one of these."""
        return fnmatchcase(check, self.check) and fnmatchcase(subject, self.subject)


class Detection(Result):
    """A result that must come.

    With `within_seconds`, what it tells of must have been seen first so soon after the fault was
    planted. There is none where a check judges a stretch of time as a whole.
    """

    status: Literal["fail", "invalid", "unknown"] = "fail"
    within_seconds: float | None = Field(default=None, gt=0)


class Consequence(Result):
    """A result that may come as well, because the fault does that too."""

    because: str


class Canary(_Strict):
    """A run with a fault, the verdict on it, and what else is said of it."""

    name: _Name
    plants: str = Field(description="what happens, in a few words")
    scale: str
    settings: tuple[str, ...] = Field(default=(), description="as --set has them")
    fault: dict[str, Any] | None = None
    verdict: Outcome
    detected: tuple[Detection, ...] = ()
    follows: tuple[Consequence, ...] = ()

    @model_validator(mode="after")
    def _is_seen(self) -> Canary:
        if (self.fault is None) == bool(self.detected):
            raise ValueError("a fault, and nothing else, is detected")
        return self

    @property
    def overrides(self) -> tuple[str, ...]:
        """What the run's scenario is changed by."""
        faults = [{"name": self.name, **self.fault}] if self.fault else []
        return (*self.settings, f"faults={json.dumps(faults)}")


class Canaries(_Strict):
    """The whole file."""

    scenario: str
    canaries: tuple[Canary, ...] = Field(min_length=1)

    @property
    def file(self) -> Path:
        """The scenario's file."""
        return find_scenario(self.scenario, SCENARIOS).resolve()

    def chosen(self, names: Sequence[str]) -> tuple[Canary, ...]:
        """Those of these names, or all; `BadInput` for a name that there is not."""
        known = {canary.name: canary for canary in self.canaries}
        if unknown := [name for name in names if name not in known]:
            raise BadInput(f"there is no canary '{unknown[0]}'; known: {', '.join(known)}")
        return tuple(known[name] for name in names) or self.canaries


def load_canaries(path: Path) -> Canaries:
    """Read the file; `BadInput` names file, line and key, also where a run could not be made."""
    source = load(path)
    try:
        told = Canaries.model_validate(source.data)
    except ValidationError as error:
        first = error.errors()[0]
        raise source.error(first["loc"], first["msg"].removeprefix("Value error, ")) from error
    names = [canary.name for canary in told.canaries]
    for at, canary in enumerate(told.canaries):
        where = ("canaries", at)
        if canary.name in names[:at]:
            raise source.error((*where, "name"), f"'{canary.name}' is taken already")
        try:
            scenario = load_scenario(told.file, canary.scale, canary.overrides)
        except BadInput as error:
            raise source.error(where, str(error)) from error
        asked = [str(check["id"]) for check in scenario.checks]
        for expected in (*canary.detected, *canary.follows):
            if not any(fnmatchcase(check, expected.check) for check in asked):
                raise source.error(where, f"the scenario does not ask for {expected.check}")
    return told
