"""The router under one of Valgrind's tools: what a scenario says of it, and what follows from that.

It becomes a command line before the router's Python and an environment. How
much slower the router is under the tool is measured on its host before the run; then every limit
of time, the router's own included, is made longer by as much.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from screamlab.errors import BadInput
from screamlab.evidence.valgrind_report import read_report
from screamlab.evidence.valgrind_stack import Objects
from screamlab.load.churn.model import LIMIT_S
from screamlab.scenario.plan import Phase, Plan, Worker

Tool = Literal["memcheck", "massif", "dhat", "helgrind", "drd"]

FOLDER = "/var/lib/screamlab/valgrind"
"""Where on the router's host suppressions and the tools' output are."""

# The limits of the role `router`, and the router's own for a change of its configuration.
ROUTER_LIMITS = {"ready_timeout_s": 60.0, "drain_s": 5.0, "stop_timeout_s": 30.0}
RELOAD = ("CONFIGURATION_RELOAD_TIMEOUT", 3.0)

_XML = ("--child-silent-after-fork=yes", "--xml=yes")
_OPTIONS: dict[Tool, tuple[str, ...]] = {
    "memcheck": ("--leak-check=full", "--show-leak-kinds=all", "--error-limit=no", *_XML),
    "helgrind": ("--error-limit=no", *_XML),
    "drd": ("--error-limit=no", *_XML),
    "massif": ("--threshold=0.1", "--detailed-freq=1"),
    "dhat": (),
}
_OUTPUT: dict[Tool, tuple[str, str]] = {
    "memcheck": ("--xml-file", "xml"),
    "helgrind": ("--xml-file", "xml"),
    "drd": ("--xml-file", "xml"),
    "massif": ("--massif-out-file", "out"),
    "dhat": ("--dhat-out-file", "json"),
}


TELLS: dict[str, tuple[Tool, ...]] = {
    "valgrind.leaks": ("memcheck",),
    "valgrind.errors": ("memcheck", "helgrind", "drd"),
}
"""The tools that tell what a check asks for; any tells what is not named here."""


class Valgrind(BaseModel):
    """Which tool, and how it looks: `baseline` is an earlier report, a file beside the scenario."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tool: Tool
    track_origins: bool = Field(default=False, description="memcheck: of values never set; slow")
    num_callers: int = Field(default=40, ge=1, le=500)
    options: tuple[str, ...] = Field(default=(), description="further words of its command line")
    baseline: str | None = None

    role: ClassVar[str] = "memcheck"

    def tells(self, check: str) -> bool:
        """Whether the tool tells what a check asks for."""
        return self.tool in TELLS.get(check, (self.tool,))

    @property
    def output(self) -> str:
        """The file a process of the tool writes; ``%p`` stands for the process's number."""
        return f"{FOLDER}/{self.tool}.%p.{_OUTPUT[self.tool][1]}"

    @property
    def wrapper(self) -> list[str]:
        """The command line before the router's Python."""
        origins = self.tool == "memcheck" and self.track_origins
        told, _ = _OUTPUT[self.tool]
        return [
            "/usr/bin/valgrind",
            f"--tool={self.tool}",
            # Without it a busy thread may keep the others from running for seconds.
            "--fair-sched=yes",
            f"--num-callers={self.num_callers}",
            *_OPTIONS[self.tool],
            *(["--track-origins=yes"] if origins else []),
            *([f"--suppressions={FOLDER}/cpython.supp"] if told == "--xml-file" else []),
            f"{told}={self.output}",
            *self.options,
        ]

    def router_keys(self) -> dict[str, Any]:
        """What is laid over the role's `router`."""
        return {"wrapper": self.wrapper}

    def router_defaults(self) -> dict[str, Any]:
        """What it is laid over: the limits of time as they are without the tool."""
        own = {"LD_PRELOAD": f"{FOLDER}/thread_gate.so", RELOAD[0]: RELOAD[1]}
        return {**ROUTER_LIMITS, "environment": own}

    def workers(self, phases: Sequence[Phase], unit: str) -> list[Worker]:
        """Nobody attends to it."""
        return []

    def told(self) -> dict[str, Any]:
        """What ``run.json`` says of it."""
        return {**self.model_dump(), "role": self.role, "output": self.output}

    def mistake(self, phases: Sequence[str], folder: Path) -> tuple[str, str] | None:
        """A key that names what is not there, and what is wrong with it."""
        if self.baseline is None:
            return None
        try:
            read_report(folder / self.baseline, Objects())
        except BadInput as error:
            return "baseline", str(error)
        return None


def slowed_router(router: Mapping[str, Any], slowdown: float) -> dict[str, Any]:
    """The `router` of a run with its limits of time made longer."""
    environment = dict(router["environment"])
    environment[RELOAD[0]] = round(float(environment[RELOAD[0]]) * slowdown)
    limits = {name: round(float(router[name]) * slowdown) for name in ROUTER_LIMITS}
    return {**router, **limits, "environment": environment}


def slowed_plan(plan: Plan, slowdown: float) -> Plan:
    """A host's plan with the limits of all that waits for the router made longer.

    Of clients that come and go as far as the plan's end allows.
    """
    workers = tuple(_slowed(worker, plan.duration_s, slowdown) for worker in plan.workers)
    return plan.model_copy(update={"workers": workers})


def _slowed(worker: Worker, end_s: float, slowdown: float) -> Worker:
    if worker.kind == "router_stats":
        spec = {**worker.spec, "slowdown": slowdown}
        return worker.model_copy(update={"spec": spec})
    if not worker.kind.startswith("churn_"):
        return worker
    last_s = max(cycle["to_s"] for cycle in worker.spec["cycles"])
    limit_s = max(LIMIT_S, min(LIMIT_S * slowdown, (end_s - last_s) / 2))
    spec = {**worker.spec, "limit_s": round(limit_s, 1)}
    return worker.model_copy(update={"spec": spec, "to_s": last_s + 2 * limit_s})
