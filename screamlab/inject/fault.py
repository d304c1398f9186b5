"""What every planted fault is: when, where, how it is planted, and how it is undone."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from screamlab.agent.context import WorkerContext
from screamlab.impair.condition import Strict
from screamlab.scenario.plan import Endpoint

ROUTER = "router"
"""For `Fault.where`: the router's host."""


class Place(Strict):
    """Where a fault is planted, as the compiler found it.

    `device` is the data interface of the host, or, for the link of another, the one that leads
    there; `local` is where the stream that the fault is about is sent from or heard.
    """

    agent: str = Field(description="the agent's unit")
    device: str
    router: str = Field(description="URL of the router's API")
    local: Endpoint | None = None


class Fault(Strict):
    """Planted `at_seconds` after a phase began, and undone `for_seconds` later.

    `where` is ``router``, or the name of a sender or receiver, which stands for its host.
    """

    name: str
    phase: str
    at_seconds: float = Field(ge=0)
    for_seconds: float = Field(gt=0)
    where: str = ROUTER

    of_link: ClassVar[bool] = False
    """Whether it is planted where the link of the first impairment is broken."""
    means: ClassVar[tuple[str, ...]] = ()
    """What the role `inject` has to put on that host for it."""
    agent_environment: ClassVar[dict[str, str]] = {}
    """What the agent of the host it is planted on must be started with."""

    def plant(self, place: Place, context: WorkerContext) -> None:
        """Plant it, and return when its time is over or `context` is told to stop."""
        raise NotImplementedError

    def undo(self, place: Place) -> None:
        """Undo it; safe to repeat, and after any kind of death."""
