"""``--set key=value``: change one value of a scenario from the command line.

A key is a dotted path; an item of a list of named things is addressed by its name, as in
``phases.hold.seconds=10`` or ``senders.rtp-native.count=20``; ``*`` stands for all of them.
"""

from __future__ import annotations

from typing import Any

import yaml

from screamlab.errors import BadInput
from screamlab.scenario.yaml_lines import Source


def override(source: Source, setting: str) -> None:
    """Apply one ``key=value`` to the scenario's data; the value is read as YAML."""
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise BadInput(f"--set {setting}: expected key=value")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadInput(f"--set {setting}: the value is not valid YAML") from error
    *parents, last = key.split(".")
    places = [source.data]
    for part in parents:
        places = [found for place in places for found in _step(place, part, setting)]
    for place in places:
        if isinstance(place, list):
            raise BadInput(f"--set {setting}: '{last}' names a whole list item; name a key of it")
        if not isinstance(place, dict):
            raise BadInput(f"--set {setting}: '{parents[-1]}' has no keys of its own")
        place[last] = value


def _step(place: Any, part: str, setting: str) -> list[Any]:
    if isinstance(place, dict):
        return [place.setdefault(part, {})]
    if isinstance(place, list):
        names = {item["name"]: item for item in place if isinstance(item, dict) and "name" in item}
        if part == "*":
            return list(names.values())
        if part in names:
            return [names[part]]
        raise BadInput(f"--set {setting}: no '{part}' here, only {', '.join(names) or 'nothing'}")
    raise BadInput(f"--set {setting}: '{part}' is below a plain value")
