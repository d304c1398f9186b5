"""The tool that a scenario has the router run under: a section ``instrument: {tool: NAME, …}``.

Each family of tools is a model of its own: it names the role that puts the tool on the router's
host (`role`), the keys that are laid over the role `router` and those that they are laid over, the
workers that attend to it, the checks that are asked of it, and what ``run.json`` says of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, get_args

from pydantic import BaseModel, Field

from screamlab.scenario.python_memory import PythonMemory
from screamlab.scenario.valgrind import Valgrind

Instrument = Annotated[PythonMemory | Valgrind, Field(discriminator="tool")]

TOOLS: dict[str, type[BaseModel]] = {
    tool: family
    for family in (PythonMemory, Valgrind)
    for tool in get_args(family.model_fields["tool"].annotation)
}


def instrumented(router: Mapping[str, Any], instrument: Instrument) -> dict[str, Any]:
    """A scenario's `router` with what its tool needs.

    ValueError when the lab could not have the router run under anything.
    """
    keys, defaults = instrument.router_keys(), instrument.router_defaults()
    if taken := sorted(keys.keys() & router.keys()):
        raise ValueError(f"router.{taken[0]} and instrument exclude each other")
    if router.get("method") == "existing":
        raise ValueError("the unit of an existing router is not the lab's to change")
    environment = {**defaults.get("environment", {}), **router.get("environment", {})}
    return {**defaults, **router, **keys, "environment": environment}
