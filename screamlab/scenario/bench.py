"""``screamlab bench clients``: what each kind of client costs its host, in the local lab."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from screamlab.errors import InfraError
from screamlab.evidence.bundle import Bundle
from screamlab.judge.view import Run
from screamlab.paths import CHECKOUT, RUNS
from screamlab.scenario.capacity import Cost, costs, most_at_once
from screamlab.scenario.clients import players

SCENARIO = "client-costs"
COSTS_FILE = CHECKOUT / "screamlab" / "scenario" / "costs.yml"
MIB = 1 << 20
_LIGHT_SENDERS = ("gstreamer", "ffmpeg", "vlc", "sipp", "baresip")
_LIGHT_RECEIVERS = ("to-native", "to-gstreamer", "to-ffmpeg", "to-vlc")
# One run each: few at a time, so that the processors are not what limits them.
ROUNDS: tuple[tuple[str, ...], ...] = (
    ("senders.native.count=3", *(f"senders.{name}.count=1" for name in _LIGHT_SENDERS)),
    tuple(f"senders.{name}.count=3" for name in _LIGHT_SENDERS),
    tuple(f"receivers.{name}.count=1" for name in _LIGHT_RECEIVERS),
    tuple(f"receivers.{name}.count=3" for name in _LIGHT_RECEIVERS),
    ("receivers.to-chromium.count=1", "receivers.to-aiortc.count=1"),
    ("receivers.to-chromium.count=3",),
    ("receivers.to-aiortc.count=3", "receivers.to-page.count=1"),
)


@dataclass(frozen=True)
class Usage:
    """What one worker with `clients` took in the hold: mean per cent of one core, and MiB."""

    clients: int
    cpu_percent: float
    mib: float


def measure() -> dict[str, tuple[Cost | None, Cost]]:
    """Run all `ROUNDS`, write ``costs.yml``; for each kind of worker its old and its new cost.

    `InfraError` when a run did not come to a verdict.
    """
    from screamlab.cli import main

    used: dict[str, list[Usage]] = defaultdict(list)
    for number, counts in enumerate(ROUNDS, start=1):
        run_id = f"{time.strftime('%Y%m%d-%H%M%S')}-{SCENARIO}-{number}"
        settings = [part for setting in counts for part in ("--set", setting)]
        down = ["--down"] if number == len(ROUNDS) else []
        code = main(["run", SCENARIO, "--run-id", run_id, *settings, *down])
        if code:
            raise InfraError(f"run {run_id} ended with exit code {code}, nothing is measured")
        with Bundle(RUNS / run_id) as bundle:
            for kind, usage in usages(Run(bundle)):
                used[kind].append(usage)
    old, new = costs(), {kind: cost(found) for kind, found in used.items()}
    write(COSTS_FILE, {**old, **new})
    return {kind: (old.get(kind), new[kind]) for kind in sorted(new)}


def usages(run: Run) -> Iterator[tuple[str, Usage]]:
    """What the workers of a run took in its hold, by their kind."""
    hold = run.phase("hold")
    for host, plan in run.plans.items():
        for worker in plan.workers:
            if worker.kind not in players():
                continue
            clients = most_at_once(worker)
            cpu, pss = (
                run.series(f"process/worker/{worker.name}", metric, host).within(hold).value
                for metric in ("cpu_percent", "pss_bytes")
            )
            if clients and len(cpu) and len(pss):
                mib = float(np.median(pss)) / MIB
                yield worker.kind, Usage(clients, float(np.mean(cpu)), mib)


def cost(used: Sequence[Usage]) -> Cost:
    """The cost that explains best what workers of one kind took."""
    clients = [usage.clients for usage in used]
    cpu_percent, base_cpu_percent = _line(clients, [usage.cpu_percent for usage in used])
    mib, base_mib = _line(clients, [usage.mib for usage in used])
    return Cost(
        cpu_percent=round(cpu_percent, 1),
        mib=round(mib),
        base_cpu_percent=round(base_cpu_percent, 1),
        base_mib=round(base_mib),
    )


def _line(clients: Sequence[int], took: Sequence[float]) -> tuple[float, float]:
    """What each client takes and what the worker takes by itself, by non-negative least squares.

    Workers that all had as many clients tell no base apart; it is in the client's share then.
    """
    from scipy.optimize import nnls

    bases = np.full(len(clients), float(len(set(clients)) > 1))
    (share, base), _ = nnls(np.column_stack([clients, bases]), np.asarray(took))
    return float(share), float(base)


def write(file: Path, table: Mapping[str, Cost]) -> None:
    """Write the table under the comment that stands at the file's head."""
    head = [line for line in file.read_text().splitlines() if line.startswith(("#", "---"))]
    rows = [
        f"{kind}: {{{', '.join(f'{name}: {value:g}' for name, value in one)}}}"
        for kind, one in table.items()
    ]
    file.write_text("\n".join([*head, *rows]) + "\n")
