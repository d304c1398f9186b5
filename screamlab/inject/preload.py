"""What a library does that is loaded into a process before all others: ld.so(8), LD_PRELOAD.

The role `inject` makes the libraries, and has the router's unit load the one that takes resources.
Each reads what it is to do from a file of 64-bit numbers that it shares with us, and does nothing
while they are 0.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal, get_args

from pydantic import Field

from screamlab.agent.context import WorkerContext
from screamlab.errors import InfraError
from screamlab.inject.fault import Fault, Place

# Where the role `inject` puts them, and what they share with us.
FOLDER = Path("/run/screamlab-inject")
RESOURCES, CLOCK = FOLDER / "resources", FOLDER / "clock"

# In the order of `files/resources.c` of the role.
Resource = Literal["memory", "descriptors", "threads", "processor", "log"]


class Take(Fault):
    """The router takes, or makes, more and more of a resource and never gives it back.

    `per_second` are bytes of memory, descriptors, threads, seconds of a processor, or lines that
    its log has as errors.
    """

    kind: Literal["take"]
    resource: Resource
    per_second: float = Field(gt=0)

    means: ClassVar[tuple[str, ...]] = ("libraries", "router")

    def plant(self, place: Place, context: WorkerContext) -> None:
        """See `Fault.plant`."""
        # In thousandths, as the library has it.
        amount = round(1000 * self.per_second)
        _tell(RESOURCES, [amount * (name == self.resource) for name in get_args(Resource)])
        context.sleep_until(context.to_s)

    def undo(self, place: Place) -> None:
        """See `Fault.undo`."""
        _silence(RESOURCES)


class Clock(Fault):
    """The clock of a host steps, as far as its agent and the agent's workers see."""

    kind: Literal["clock"]
    step_ms: float

    means: ClassVar[tuple[str, ...]] = ("libraries",)
    agent_environment: ClassVar[dict[str, str]] = {"LD_PRELOAD": str(FOLDER / "clock.so")}

    def plant(self, place: Place, context: WorkerContext) -> None:
        """See `Fault.plant`."""
        _tell(CLOCK, [round(1e6 * self.step_ms)])
        context.sleep_until(context.to_s)

    def undo(self, place: Place) -> None:
        """See `Fault.undo`."""
        _silence(CLOCK)


def _tell(file: Path, numbers: Sequence[int]) -> None:
    """Write what a library reads, which is there once a process has loaded it."""
    try:
        with file.open("r+b", buffering=0) as shared:
            shared.write(struct.pack(f"={len(numbers)}q", *numbers))
    except OSError as error:
        raise InfraError(f"{file}: {error.strerror}; no process has loaded it") from error


def _silence(file: Path) -> None:
    if file.exists():
        _tell(file, [0] * (file.stat().st_size // 8))
