"""The suite file: which scenarios, at which scales and settings, with which seeds – as plain data.

An entry of `runs` stands for all combinations of the choices of its axes, once for each seed. The
seeds take turns: every combination runs with the first seed, then every one with the second, so
that what changes about the machine with time is no difference between the choices.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from screamlab.errors import BadInput
from screamlab.paths import SCENARIOS, SUITES
from screamlab.scenario.model import NAME, find_scenario, load_scenario
from screamlab.scenario.yaml_lines import Loc, Source, find, load

# Versions are names of choices, so dots are allowed in these.
CHOICE = r"^[a-z0-9][a-z0-9.-]*$"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Choice(_Strict):
    """One value of an axis: what it lays over its entry."""

    name: str = Field(pattern=CHOICE)
    scenario: str | None = None
    scale: str | None = None
    settings: dict[str, Any] = {}


class Axis(_Strict):
    """Something that is varied, such as the router's version."""

    name: str = Field(pattern=NAME)
    choices: tuple[Choice, ...] = Field(min_length=1)


class Entry(_Strict):
    """A matrix of runs; `leave_out` names combinations (axis: choice) that are not run."""

    name: str = Field(pattern=NAME)
    scenario: str | None = Field(default=None, description="name or path; may be an axis' choice")
    scale: str = "quick"
    settings: dict[str, Any] = Field(default={}, description="as --set has them")
    seeds: tuple[int, ...] = Field(min_length=1, description="one run of each combination for each")
    axes: tuple[Axis, ...] = ()
    leave_out: tuple[dict[str, str], ...] = ()


class Suite(_Strict):
    """A suite; a run that ends INVALID is asked again up to `invalid_retries` times."""

    name: str = Field(pattern=NAME)
    title: str
    description: str = ""
    invalid_retries: int = Field(default=0, ge=0)
    runs: tuple[Entry, ...] = Field(min_length=1)


class Cell(_Strict):
    """One run that a suite asks for."""

    name: str
    entry: str
    scenario: Path
    scale: str
    settings: tuple[str, ...]
    seed: int


def find_suite(name: str) -> Path:
    """The file of a suite given by name or path."""
    return find("suite", name, SUITES)


def load_suite(path: Path) -> tuple[Suite, tuple[Cell, ...]]:
    """Read a suite and all the runs it asks for, in their order.

    Every run's scenario is read with its settings, so a suite that cannot be carried out is
    refused before it begins: `BadInput` names file, line and key.
    """
    source = load(path)
    try:
        suite = Suite.model_validate(source.data)
    except ValidationError as error:
        first = min(error.errors(), key=lambda found: found["type"] == "missing")
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            message = f"there is no such key; known here: {', '.join(_model(first['loc']))}"
        raise source.error(first["loc"], message) from error
    cells: list[Cell] = []
    for at, entry in enumerate(suite.runs):
        _validate(entry, ("runs", at), source)
        try:
            cells += _cells(entry)
        except BadInput as error:
            raise source.error(("runs", at), str(error)) from error
    names = [cell.name for cell in cells]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise source.error(("runs",), f"two runs would be called '{twice}'")
    if not cells:
        raise source.error(("runs",), "everything is left out, so there is nothing to run")
    return suite, tuple(cells)


def _model(loc: tuple[str | int, ...]) -> Mapping[str, Any]:
    """The keys that may stand where an unknown one was found."""
    if len(loc) < 2:
        return Suite.model_fields
    return next(
        (
            model.model_fields
            for part, model in (("choices", Choice), ("axes", Axis))
            if part in loc
        ),
        Entry.model_fields,
    )


def _validate(entry: Entry, at: Loc, source: Source) -> None:
    known = {axis.name: {choice.name for choice in axis.choices} for axis in entry.axes}
    if len(set(entry.seeds)) < len(entry.seeds):
        raise source.error((*at, "seeds"), "a seed stands here twice")
    for number, left_out in enumerate(entry.leave_out):
        for axis, choice in left_out.items():
            where = (*at, "leave_out", number, axis)
            if axis not in known:
                raise source.error(where, f"there is no axis '{axis}'")
            if choice not in known[axis]:
                raise source.error(where, f"'{choice}' is no choice of this axis")


def _cells(entry: Entry) -> Iterator[Cell]:
    names = [axis.name for axis in entry.axes]
    combinations = [
        chosen
        for chosen in product(*(axis.choices for axis in entry.axes))
        if not any(
            left_out.items() <= {n: c.name for n, c in zip(names, chosen, strict=True)}.items()
            for left_out in entry.leave_out
        )
    ]
    for seed in entry.seeds:
        for chosen in combinations:
            yield _cell(entry, chosen, seed)


def _cell(entry: Entry, chosen: tuple[Choice, ...], seed: int) -> Cell:
    name = "-".join([entry.name, *(choice.name for choice in chosen), f"s{seed}"])
    settings, scenario, scale = dict(entry.settings), entry.scenario, entry.scale
    for choice in chosen:
        settings |= choice.settings
        scenario, scale = choice.scenario or scenario, choice.scale or scale
    if scenario is None:
        raise BadInput(f"{name} names no scenario")
    file = find_scenario(scenario, SCENARIOS).resolve()
    told = tuple(f"{key}={_as_yaml(value)}" for key, value in settings.items())
    try:
        load_scenario(file, scale, told)
    except BadInput as error:
        raise BadInput(f"{name}: {error}") from error
    return Cell(
        name=name, entry=entry.name, scenario=file, scale=scale, settings=told, seed=seed
    )  # fmt: skip


def _as_yaml(value: Any) -> str:
    """A value as ``--set`` reads it back."""
    plain = str(value)
    return plain if yaml.safe_load(plain) == value else json.dumps(value)
