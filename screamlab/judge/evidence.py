"""What the judge reads of a run, and from whom: the bundle on disk, or a canary in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from screamlab.evidence.bundle import Series
from screamlab.evidence.journal import Entry
from screamlab.evidence.timeline import Line
from screamlab.scenario.plan import Plan


class Evidence(Protocol):
    """What is read of a run; `screamlab.evidence.bundle.Bundle` is one."""

    path: Path
    meta: dict[str, Any]
    zero: float

    @property
    def plans(self) -> Mapping[str, Plan]: ...

    @property
    def facts(self) -> Mapping[str, Mapping[str, Any]]: ...

    @property
    def missing_reasons(self) -> Mapping[str, str]: ...

    def events(self, kind: str = "", subject: str = "*") -> Iterable[Mapping[str, Any]]: ...

    def series(self, subject: str, metric: str) -> Mapping[tuple[str, str], Series]: ...

    def newest(self, subject: str) -> Mapping[tuple[str, str], float]: ...

    def journal(self, host: str, unit: str | None = None) -> Iterable[Entry]: ...

    def has_journal(self, host: str) -> bool: ...

    def timeline(self) -> Iterable[Line]: ...

    def hears_kernel(self, host: str) -> bool: ...
