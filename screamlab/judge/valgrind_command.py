"""``screamlab valgrind FILE…``: read reports by hand, together or against a baseline."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from itertools import islice

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from screamlab.evidence.valgrind_report import Group, Report, read_report, save_report
from screamlab.evidence.valgrind_stack import OWNERS, Objects, blamed, place, short, source
from screamlab.judge.valgrind_told import Change, compare, total


def run(options: argparse.Namespace, console: Console) -> int:
    """Print reports; `BadInput` for a file that is none."""
    objects = Objects(engine=tuple(options.engine)) if options.engine else Objects()
    for file in options.files:
        report = read_report(file, objects)
        console.print(_head(report))
        groups = [g for g in report.groups if options.owner in (None, g.owner)]
        if options.baseline:
            changes = compare(read_report(options.baseline, objects), report)
            wanted = [c for c in changes if options.owner in (None, c.group.owner)]
            console.print(_changes(islice(wanted, options.most), objects))
        else:
            console.print(_sums(groups), _stacks(islice(groups, options.most), objects))
        if options.save:
            save_report(report, options.save)
    return 0


def _head(report: Report) -> str:
    whole = f"cut off: {report.truncated}" if report.truncated else "whole"
    command = " ".join(report.command) or "an unknown command"
    return f"{report.tool}, {whole}: {command}"


def _sums(groups: Iterable[Group]) -> Table:
    table = Table("bytes", *OWNERS)
    listed = list(groups)
    for kind in dict.fromkeys(group.kind for group in listed if group.bytes):
        own = [[g for g in listed if g.kind == kind and g.owner == owner] for owner in OWNERS]
        table.add_row(kind, *(f"{total(groups):,}" for groups in own))
    return table


def _stacks(groups: Iterable[Group], objects: Objects) -> Table:
    table = Table("kind", "owner", "bytes", "blocks", "times", "where", "called by")
    for group in groups:
        counts = (group.bytes, group.blocks, group.times)
        numbers = (f"{count:,}" if count else "" for count in counts)
        table.add_row(group.kind, group.owner, *numbers, *_where(group, objects))
    return table


def _changes(changes: Iterable[Change], objects: Objects) -> Table:
    table = Table("what", "kind", "owner", "before", "now", "where", "called by")
    for change in changes:
        if change.what != "same":
            group, numbers = change.group, (f"{change.before:,}", f"{change.after:,}")
            table.add_row(change.what, group.kind, group.owner, *numbers, *_where(group, objects))
    return table


def _where(group: Group, objects: Objects) -> tuple[str, str]:
    """The blamed function with its source, and the three that called it."""
    if not group.stack:
        return group.text, ""
    at = blamed(group.stack, objects)
    callers = group.stack[group.stack.index(at) + 1 :]
    called_by = " < ".join(short(place(one)) for one in callers[:3])
    return escape(f"{short(place(at))} {source(at)}".rstrip()), escape(called_by)
