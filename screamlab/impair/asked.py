"""What a task of the module `netem` asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from screamlab.errors import BadInput
from screamlab.impair.condition import Condition, Selector
from screamlab.impair.device import mtu
from screamlab.impair.tc import Half
from screamlab.impair.translate import half, matches


def half_asked(
    asked: Mapping[str, Any], condition_keys: Iterable[str]
) -> tuple[Half | None, Selector | None]:
    """What a direction is to hold, None for nothing, and the selector.

    `BadInput` when the options do not go together.
    """
    if asked["state"] == "absent":
        return None, None
    try:
        selector = Selector.model_validate(asked["selector"]) if asked["selector"] else None
        condition = Condition.model_validate(_given({key: asked[key] for key in condition_keys}))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "condition"
        raise BadInput(f"{where}: {first['msg'].removeprefix('Value error, ')}") from error
    if asked["revert_after_s"] <= 0:
        raise BadInput("revert_after_s: the device must be healed some time later")
    matched = matches(selector, asked["facing"], asked["direction"])
    rate = asked["packets_per_s"]
    return half(condition, matched, mtu=mtu(asked["device"]), packets_per_s=rate), selector


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given; those that were not are None, at every depth."""
    return {
        key: _given(value) if isinstance(value, Mapping) else value
        for key, value in options.items()
        if value is not None
    }
