"""``--set key=value``: change one value of a scenario from the command line.

A key is a dotted path. An item of a list is addressed by its name, a check by its id, as in
``phases.hold.seconds=10`` or ``checks.lab.pacing.max_p99_ms=20``; ``*`` stands for all of them.
"""

from __future__ import annotations

from typing import Any

import yaml

from screamlab.errors import BadInput
from screamlab.scenario.yaml_lines import Source


def override(source: Source, setting: str) -> None:
    """Apply one ``key=value`` to the scenario's data; the value is read as YAML.

    Raises `BadInput` where the key leads nowhere.
    """
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise BadInput(f"--set {setting}: expected key=value")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadInput(f"--set {setting}: the value is not valid YAML") from error
    try:
        _put(value, source.data, key.split("."))
    except _Astray as error:
        raise BadInput(f"--set {setting}: {error}") from error


class _Astray(Exception):
    """A key that leads nowhere, and where it went wrong."""


def _put(value: Any, place: Any, path: list[str]) -> None:
    first, *rest = path
    if isinstance(place, list):
        for item, below in _items(place, path):
            _put(value, item, below)
    elif not isinstance(place, dict):
        raise _Astray(f"'{first}' is below a plain value")
    elif rest:
        _put(value, place.setdefault(first, {}), rest)
    else:
        place[first] = value


def _items(place: list[Any], path: list[str]) -> list[tuple[Any, list[str]]]:
    """The items of a list that a path leads to, and what is left of it for each."""
    named = [(_name(item).split("."), item) for item in place if _name(item)]
    if path[0] == "*":
        found = [(item, path[1:]) for _, item in named]
    else:
        found = [(item, path[len(name) :]) for name, item in named if path[: len(name)] == name]
    if not found:
        names = dict.fromkeys(".".join(name) for name, _ in named)
        raise _Astray(f"no '{path[0]}' here, only {', '.join(names) or 'nothing'}")
    if not found[0][1]:
        raise _Astray(f"'{path[-1]}' names a whole list item; name a key of it")
    return found


def _name(item: Any) -> str:
    return str(item.get("name", item.get("id", ""))) if isinstance(item, dict) else ""
