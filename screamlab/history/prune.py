"""Retention: which runs of a folder may go, by count and by age."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from screamlab.errors import InfraError
from screamlab.history.listed import Listed, list_runs

DAY_S = 86400.0


@dataclass(frozen=True)
class Rule:
    """What goes: runs beyond the newest `keep`, runs older than `older_than_s`, or what is both.

    Runs that ended FAIL stay unless `failed`.
    """

    keep: int | None = None
    older_than_s: float | None = None
    failed: bool = False


def removable(
    runs: Sequence[Listed], rule: Rule, latest: Path | None, now: float
) -> list[tuple[Listed, str | None]]:
    """Each run (oldest first) that the rule means, with why it stays all the same, or None."""
    found: list[tuple[Listed, str | None]] = []
    for rank, run in enumerate(reversed(runs)):
        beyond = rule.keep is None or rank >= rule.keep
        old = rule.older_than_s is None or now - run.ends > rule.older_than_s
        if beyond and old:
            found.append((run, _stays(run, rank, rule, latest, now)))
    return found[::-1]


def prune(
    folder: Path, rule: Rule, console: Console, *, remove: bool, now: float | None = None
) -> list[Path]:
    """Show what goes and why something stays; with `remove`, remove it. Returns what goes.

    `InfraError` when a folder cannot be removed.
    """
    link = folder / "latest"
    latest = link.resolve() if link.is_symlink() else None
    meant = removable(list_runs(folder), rule, latest, time.time() if now is None else now)
    going = [run.folder for run, why in meant if why is None]
    sizes = {run: _bytes(run) for run in going}
    table = Table("run", "verdict", "began", "MiB", "", box=None, pad_edge=False)
    for run, why in meant:
        mib = "" if why else f"{sizes[run.folder] / 2**20:.1f}"
        table.add_row(Text(run.folder.name), run.verdict or "–", run.date, mib,
                      f"stays: {why}" if why else "removed" if remove else "would go")  # fmt: skip
    console.print(table if meant else "nothing is to go")
    try:
        for path in going if remove else ():
            shutil.rmtree(path)
    except OSError as error:
        raise InfraError(f"{error.filename}: cannot be removed: {error.strerror}") from error
    what = "removed" if remove else "would be removed, with --yes"
    console.print(f"{len(going)} runs, {sum(sizes.values()) / 2**20:.1f} MiB {what}")
    return going


def _stays(run: Listed, rank: int, rule: Rule, latest: Path | None, now: float) -> str | None:
    if rank == 0 or run.folder.resolve() == latest:
        return "it is the latest"
    if run.verdict == "FAIL" and not rule.failed:
        return "it ended FAIL; --failed lets it go"
    # A controller may come back to a run and collect it; after a day nobody will.
    if run.verdict is None and now - run.ends < DAY_S:
        return "it may still be under way"
    return None


def _bytes(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.rglob("*") if not file.is_dir())
