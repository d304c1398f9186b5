"""A profiler of the router's Python memory, as a scenario asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from screamlab.scenario.plan import Phase, Worker

FOLDER = "/var/lib/screamrouter/instrument"
"""What the launcher writes; emptied at the router's start, collected after the run."""

PYTHON_MEMORY = "/opt/screamlab/python-memory"
"""Where the role `python_memory` puts the launcher and the profilers."""


class PythonMemory(BaseModel):
    """A profiler of the router's Python memory, by the launcher that the router is started with.

    It measures nothing until the phase `from_phase` (the first hold where none is named), so that
    the same run has the router without it, and looks closer when the last hold ends.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tool: Literal["objgraph", "tracemalloc", "memory_profiler", "memray"]
    interval_seconds: float = Field(default=10.0, gt=0, description="between two snapshots")
    from_phase: str | None = None
    save_all: bool = Field(default=False, description="count what only the collector can free")
    suspects: int = Field(default=5, ge=0, description="objgraph: types looked at closer")
    frames: int = Field(default=5, ge=1, le=50, description="tracemalloc: of each traceback")
    native: bool = Field(default=True, description="memray: frames of the engine, too")
    classes: tuple[str, ...] = Field(
        default=("ConfigurationManager", "SipManager"),
        description="memory_profiler: classes whose methods are measured, where they exist",
    )

    role: ClassVar[str] = "python_memory"

    def router_keys(self) -> dict[str, Any]:
        """What is laid over the role's `router`."""
        options = {
            "tool": self.tool,
            "interval": f"{self.interval_seconds:g}",
            "folder": FOLDER,
            "save-all": int(self.save_all),
            "suspects": self.suspects,
            "frames": self.frames,
            "native": int(self.native),
            "classes": ",".join(self.classes),
        }
        words = [f"--{name}={value}" for name, value in options.items()]
        return {"entry": [f"{PYTHON_MEMORY}/memory_launcher", *words, "-m", "screamrouter"]}

    def router_defaults(self) -> dict[str, Any]:
        """What it is laid over: nothing is to be otherwise."""
        return {}

    def told(self) -> dict[str, Any]:
        """What ``run.json`` says of it."""
        return {**self.model_dump(), "role": self.role}

    def mistake(self, phases: Sequence[str], folder: Path) -> tuple[str, str] | None:
        """A key that names what is not there, and what is wrong with it."""
        if self.from_phase is None or self.from_phase in phases:
            return None
        return "from_phase", f"there is no phase '{self.from_phase}'"

    def tells(self, check: str) -> bool:
        """Every check is asked: one that its tool does not tell knows nothing."""
        return True

    def workers(self, phases: Sequence[Phase], unit: str) -> list[Worker]:
        """Who tells the launcher to begin, and to look closer."""
        holds = [phase for phase in phases if phase.kind == "hold"]
        begins = next((phase for phase in phases if phase.name == self.from_phase), holds[0])
        spec = {
            "unit": unit,
            "snapshots": f"{FOLDER}/snapshots.jsonl",
            "at_s": [begins.from_s, holds[-1].to_s],
        }
        end_s = phases[-1].to_s
        return [
            Worker(
                name="python-memory",
                kind="python_memory",
                from_s=begins.from_s,
                to_s=end_s,
                spec=spec,
            )
        ]
