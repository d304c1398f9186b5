"""What the tool that a run's router was under has said, and what an earlier report said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from screamlab.evidence.valgrind_keep import REPORT_FILE
from screamlab.evidence.valgrind_report import BASELINE_FILE, Group, Report, read_report
from screamlab.evidence.valgrind_stack import Objects
from screamlab.judge.view import Run

OBJECTS = Objects()


@lru_cache(maxsize=4)
def report_of(run: Run) -> Report | None:
    """The grouped report of the router; None when none came home, `BadInput` for a broken one."""
    file = run.bundle.path / "hosts" / str(run.router_host) / REPORT_FILE
    return read_report(file, OBJECTS) if file.is_file() else None


@lru_cache(maxsize=4)
def baseline_of(run: Run) -> Report | None:
    """The report that the scenario names to compare with, if it names one."""
    file = run.bundle.path / BASELINE_FILE
    return read_report(file, OBJECTS) if file.is_file() else None


@dataclass(frozen=True)
class Change:
    """A stack in two reports; of a leak or memory held `bytes`, of errors times."""

    group: Group
    before: int
    after: int

    @property
    def what(self) -> str:
        """new, gone, grown, shrunk or same."""
        if not self.before or not self.after:
            return "gone" if self.before else "new"
        if self.before == self.after:
            return "same"
        return "grown" if self.after > self.before else "shrunk"


def compare(before: Report, after: Report) -> list[Change]:
    """Every stack of two reports, those that grew most first."""
    earlier = {group.name: group for group in before.groups}
    later = {group.name: group for group in after.groups}
    changes = [
        Change(
            later.get(name) or earlier[name],
            _size(earlier[name]) if name in earlier else 0,
            _size(later[name]) if name in later else 0,
        )
        for name in dict.fromkeys((*later, *earlier))
    ]
    return sorted(changes, key=lambda change: change.before - change.after)


def _size(group: Group) -> int:
    return group.bytes or group.times


def total(groups: Sequence[Group]) -> int:
    """Their bytes together."""
    return sum(group.bytes for group in groups)
