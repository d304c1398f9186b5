"""A verdict on a terminal, or as plain lines where there is none."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from screamlab.judge.model import STATUSES, CheckResult, Status, Verdict

STYLES: dict[str, str] = {
    "fail": "bold red",
    "invalid": "bold magenta",
    "unknown": "magenta",
    "xpass": "bold yellow",
    "xfail": "yellow",
    "pass": "green",
    "PASS": "bold green",
    "FAIL": "bold red",
    "INVALID": "bold magenta",
    "INFRA": "bold magenta",
}


def print_verdict(verdict: Verdict, console: Console, *, every: bool = False) -> None:
    """Print the results, worst first, and the verdict as the last line.

    Passing results are summed up per check unless `every` is asked for. Where the lab broke down
    no result means anything, and none is printed.
    """
    rows = _rows(verdict.checks if verdict.verdict != "INFRA" else (), every)
    if console.is_terminal:
        console.print(_table(rows))
    else:
        for status, check, subject, reason in rows:
            _plain(console, f"{status:8} {check:22} {subject}: {reason}")
    _plain(console, verdict.line, STYLES[verdict.verdict])


Row = tuple[Status, str, str, str]


def _rows(results: Sequence[CheckResult], every: bool) -> list[Row]:
    rows: list[Row] = []
    for status in STATUSES:
        alike = [result for result in results if result.status == status]
        if status != "pass" or every:
            rows += [(r.status, r.id, r.subject, r.reason) for r in alike]
            continue
        for check in dict.fromkeys(result.id for result in alike):
            members = [result for result in alike if result.id == check]
            one = members[0]
            if len(members) == 1:
                rows.append((status, check, one.subject, one.reason))
            else:
                reason = f"for example {one.subject}: {one.reason}"
                rows.append((status, check, f"{len(members)} subjects", reason))
    return rows


def _table(rows: Sequence[Row]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name, overflow in (("status", "fold"), ("check", "fold"), ("subject", "fold")):
        table.add_column(name, overflow=overflow, no_wrap=name != "subject")  # type: ignore[arg-type]
    table.add_column("reason", overflow="fold")
    for status, check, subject, reason in rows:
        table.add_row(Text(status, STYLES[status]), check, Text(subject), Text(reason))
    return table


def _plain(console: Console, line: str, style: str | None = None) -> None:
    console.print(Text(line, style or ""), soft_wrap=True)
