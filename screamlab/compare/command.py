"""``screamlab compare``: sides in, a table and a page out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from rich.console import Console

from screamlab.compare.findings import read_findings
from screamlab.compare.page import render_page
from screamlab.compare.rows import Comparison, compare
from screamlab.compare.show import show
from screamlab.compare.sides import make_sides
from screamlab.output import write_output


def compare_runs(
    arguments: Sequence[str], runs: Path, by_version: bool, output: Path, console: Console
) -> list[Comparison]:
    """Hold every side against the first; versions of one set of runs, each against its forerunner.

    `BadInput` when there are no two sides, when they cannot be compared, or for an unwritable file.
    """
    by_version = by_version or len(arguments) == 1
    sides = make_sides(arguments, runs, read_findings, by_version=by_version)
    pairs = pairwise(sides) if by_version else ((sides[0], side) for side in sides[1:])
    comparisons = [compare(a, b) for a, b in pairs]
    write_output(output, render_page(comparisons))
    for comparison in comparisons:
        show(comparison, console)
    console.print(f"page: {output}", soft_wrap=True, highlight=False)
    return comparisons
