"""A comparison on a terminal, or as plain lines where there is none."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from screamlab.compare.rows import WORDS, Comparison, Row, Says, verdicts

STYLES: dict[Says, str] = {
    "worse": "bold red", "better": "bold green", "hint": "yellow", "unknown": "magenta",
    "noise": "dim",
}  # fmt: skip


def show(comparison: Comparison, console: Console) -> None:
    """Print all checks and the metrics that differ, what is to be borne in mind, and what came out.

    The page has the other metrics.
    """
    a, b = comparison.a, comparison.b
    for side in (a, b):
        _plain(console, f"{side.name}: {verdicts(side)}")
    differing = tuple(row for row in comparison.metrics if row.says not in ("unknown", "noise"))
    for rows, what in ((comparison.checks, "check"), (differing, "metric")):
        if rows:
            console.print(_table(rows, what, a.name, b.name))
    for sentence in (*comparison.caveats, comparison.advice):
        if sentence:
            _plain(console, f"note: {sentence}")
    _plain(console, comparison.line)


def _table(rows: tuple[Row, ...], what: str, a: str, b: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    named = any(row.topic for row in rows)
    heads = (*(["scenario"] if named else []), what, a, b, "difference [95 %]", "unit", "p", "")
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        p = "–" if row.p is None else f"{row.p:.2g}"
        cells = (f"{row.subject} {row.name}".strip(), row.a, row.b, row.interval, row.unit, p)
        table.add_row(*([row.topic] if named else []), *cells,
                      Text(WORDS[row.says], STYLES[row.says]))  # fmt: skip
    return table


def _plain(console: Console, line: str) -> None:
    console.print(Text(line), soft_wrap=True)
