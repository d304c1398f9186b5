"""The tool that a scenario has the router run under: a section ``instrument: {tool: NAME, …}``.

Each family of tools is a model of its own: it names the role that puts the tool on the router's
host (`role`), the keys that are laid over the role `router`, and the workers that attend to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from screamlab.scenario.python_memory import PythonMemory

Instrument = PythonMemory


def instrumented(router: Mapping[str, Any], instrument: Instrument) -> dict[str, Any]:
    """A scenario's `router` with what its tool needs.

    ValueError when the lab could not have the router run under anything.
    """
    keys = instrument.router_keys()
    if taken := sorted(keys.keys() & router.keys()):
        raise ValueError(f"router.{taken[0]} and instrument exclude each other")
    if router.get("method") == "existing":
        raise ValueError("the unit of an existing router is not the lab's to change")
    return {**router, **keys}
