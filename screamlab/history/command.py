"""``screamlab history``: a table of the runs of a folder, and a page with their trends."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from screamlab.compare.findings import read_findings
from screamlab.errors import BadInput
from screamlab.history.listed import Listed, list_runs
from screamlab.history.trends import render_trends
from screamlab.judge.table import STYLES
from screamlab.output import write_output


def show_history(folder: Path, last: int, output: Path | None, console: Console) -> None:
    """Print the newest `last` runs of a folder, oldest first; with `output`, write the page.

    `BadInput` when there is no run, or the page cannot be written.
    """
    runs = list_runs(folder)[-last:]
    if not runs:
        raise BadInput(f"{folder}: there is no run here")
    console.print(_table(runs))
    if output is None:
        return
    # What never began has nothing to show.
    found = [read_findings(run.folder) for run in runs if run.verdict is not None]
    write_output(output, render_trends(found))
    console.print(f"page: {output}", soft_wrap=True, highlight=False)


def _table(runs: Sequence[Listed]) -> Table:
    heads = ("began", "scenario", "scale", "router", "verdict", "run", "reason")
    table = Table(*heads, box=None, pad_edge=False, header_style="dim")
    for run in runs:
        verdict = Text(run.verdict or "–", STYLES.get(run.verdict or "", "dim"))
        table.add_row(run.date, run.scenario, run.scale, run.version or "–", verdict,
                      Text(run.folder.name), Text(run.reason))  # fmt: skip
    return table
