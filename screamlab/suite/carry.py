"""Carry a suite out: one run after the other, noted before and after, whatever becomes of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from screamlab.errors import BadInput, ScreamlabError
from screamlab.evidence.bundle import VERDICT_FILE
from screamlab.inventory import Host
from screamlab.judge.model import Verdict
from screamlab.judge.table import STYLES
from screamlab.scenario.compile import compile_scenario
from screamlab.scenario.model import load_scenario
from screamlab.suite.model import Cell
from screamlab.suite.record import Attempt, Part, Record, save

# Runs a cell under a run id and judges it.
CarryOut = Callable[[str, Cell], Verdict]


def chosen(cells: Sequence[Cell], globs: Sequence[str]) -> tuple[Cell, ...]:
    """The cells whose names match one of `globs`; `BadInput` for a glob that matches none."""
    for glob in globs:
        if not any(fnmatchcase(cell.name, glob) for cell in cells):
            names = ", ".join(cell.name for cell in cells)
            raise BadInput(f"--only {glob}: no run of the suite is called so; there are {names}")
    return tuple(c for c in cells if not globs or any(fnmatchcase(c.name, g) for g in globs))


def with_settings(cells: Iterable[Cell], settings: Sequence[str]) -> tuple[Cell, ...]:
    """The cells with further settings, which go over their own."""
    return tuple(
        cell.model_copy(update={"settings": (*cell.settings, *settings)}) for cell in cells
    )


def validate_on(cells: Iterable[Cell], hosts: Sequence[Host]) -> None:
    """`BadInput` when an inventory is too small for a run of the suite."""
    seen = set()
    for cell in cells:
        # Seeds draw names and order; they ask no more of the hosts.
        asked = (cell.scenario, cell.scale, cell.settings)
        if asked in seen:
            continue
        seen.add(asked)
        try:
            scenario = load_scenario(*asked)
            compile_scenario(scenario, hosts, run_id=cell.name, seed=cell.seed)
        except BadInput as error:
            raise BadInput(f"{cell.name}: {error}") from error


def carry_out(record: Record, folder: Path, runs: Path, run: CarryOut, console: Console) -> None:
    """Carry out what is left to do of a suite; `record` and its folder tell how far it is.

    A run that was begun and has no verdict is begun anew under another name; what there is of it
    stays. A run that cannot be carried out is INFRA, and the suite goes on.
    """
    for at, part in enumerate(record.parts, start=1):
        _recover(part, runs)
        while _is_due(part, record.invalid_retries):
            run_id = _next_run_id(record, part)
            console.print(f"[{at}/{len(record.parts)}] {run_id}", markup=False, highlight=False)
            part.attempts.append(Attempt(run_id=run_id))
            save(record, folder)
            try:
                given = run(run_id, part.cell)
                told = Attempt(run_id=run_id, verdict=given.verdict, reason=given.reason)
            except ScreamlabError as error:
                told = Attempt(run_id=run_id, verdict="INFRA", reason=str(error))
            part.attempts[-1] = told
            save(record, folder)


def show(record: Record, console: Console) -> None:
    """Print every run's verdict and, as the last line, that of the suite."""
    table = Table("run", "seed", "verdict", "reason", box=None, pad_edge=False)
    for part in record.parts:
        verdict = part.verdict or "unfinished"
        before = f" ({part.before} before)" if part.before else ""
        style = STYLES.get(verdict, "dim")
        table.add_row(part.cell.name, str(part.cell.seed), Text(f"{verdict}{before}", style),
                      Text(part.reason))  # fmt: skip
    console.print(table)
    console.print(Text(record.line, STYLES.get(record.verdict or "", "")), soft_wrap=True)


def _is_due(part: Part, invalid_retries: int) -> bool:
    if part.verdict is None:
        return True
    invalid = sum(attempt.verdict == "INVALID" for attempt in part.attempts)
    return part.verdict == "INVALID" and invalid <= invalid_retries


def _next_run_id(record: Record, part: Part) -> str:
    again = f"-{len(part.attempts) + 1}" if part.attempts else ""
    return f"{record.suite_id}-{part.cell.name}{again}"


def _recover(part: Part, runs: Path) -> None:
    """Take the verdict of a run that was judged, and not noted before the suite broke off."""
    if not part.attempts or part.verdict:
        return
    run_id = part.attempts[-1].run_id
    try:
        found = Verdict.model_validate_json((runs / run_id / VERDICT_FILE).read_bytes())
    except (OSError, ValidationError):
        return
    part.attempts[-1] = Attempt(run_id=run_id, verdict=found.verdict, reason=found.reason)
