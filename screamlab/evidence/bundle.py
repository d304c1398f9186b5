"""Reading a run's bundle: what the judge and the report are given, online or years later.

Times are unix seconds as the host's clock had them; `at_s` turns them into seconds after the
plan's zero. Pieces that are not there (a host that died, a run that was never collected) read as
empty; `missing_reasons` tells which and why.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import duckdb
import numpy as np
from numpy.typing import NDArray

from screamlab.errors import BadInput
from screamlab.evidence.journal import JOURNAL_FILE, Entry, read_journal
from screamlab.evidence.kernel_log import CONTAINER, KERNEL_FILE
from screamlab.evidence.timeline import TIMELINE_FILE, Line, read_timeline
from screamlab.scenario.plan import Plan, read_plan

SCHEMA_VERSION = 1
# What was judged of a run; `screamlab.judge.model.Verdict`.
VERDICT_FILE = "verdict.json"

_Time = TypeVar("_Time", float, NDArray[np.float64])

# One line of the timeline: t (unix seconds), host, kind, subject, and the kind's own fields.
Event = dict[str, Any]


class Series(NamedTuple):
    """One metric of one subject on one host: unix seconds, ascending, and values."""

    t: NDArray[np.float64]
    value: NDArray[np.float64]


class Bundle:
    """The run in folder `path`; `BadInput` when it holds no readable `run.json`.

    `zero` is 0 for a run that was planned and never started.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.meta = _read_document(path / "run.json")
        zero = self.meta.get("zero")
        if not isinstance(zero, int | float | None):
            raise BadInput(f"{path / 'run.json'}: zero: must be the unix time of the plan's zero")
        self.zero = float(zero or 0.0)
        schema = self.manifest.get("schema_version", SCHEMA_VERSION)
        if schema != SCHEMA_VERSION:
            raise BadInput(
                f"{path}: its bundle has schema version {schema}, this screamlab reads "
                f"{SCHEMA_VERSION}"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database behind `series` and `query`, if one was opened."""
        if "_database" in self.__dict__:
            self._database.close()
            del self.__dict__["_database"]

    def at_s(self, t: _Time) -> _Time:
        """Seconds after the plan's zero of one or many times in unix seconds."""
        return t - self.zero

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """`manifest.json`: files with sizes and checksums, broken lines, versions."""
        return optional_document(self.path / "manifest.json")

    @property
    def missing_hosts(self) -> tuple[str, ...]:
        """Hosts of the run of which nothing was collected."""
        return tuple(self.missing_reasons)

    @cached_property
    def missing_reasons(self) -> dict[str, str]:
        """Why nothing was collected, of every host that is missing."""
        known = optional_document(self.path / "collection.json")
        return {
            host: known.get(host, {}).get("reason") or "nothing was collected"
            for host in sorted({*self.plans, *known})
            if not any((self.path / "hosts" / host).glob("*.jsonl"))
        }

    @cached_property
    def unfinished_hosts(self) -> tuple[str, ...]:
        """Hosts that were collected but whose agent never came to the plan's end."""
        planned = self.plans.keys() - self.missing_reasons.keys()
        hosts = self.path / "hosts"
        return tuple(sorted(host for host in planned if not (hosts / host / "done").exists()))

    @cached_property
    def plans(self) -> dict[str, Plan]:
        """The plan of every host that had one."""
        delivered = {path.parent.name: path for path in self.path.glob("hosts/*/plan.json")}
        compiled = {path.stem: path for path in self.path.glob("plans/*.json")}
        return {host: read_plan(path) for host, path in sorted((delivered | compiled).items())}

    @cached_property
    def facts(self) -> dict[str, dict[str, Any]]:
        """The facts of every host that told any (`screamlab.observe.host_facts`).

        What the controller measured of the hosts' clocks, `run.json`'s `clocks` (host to
        `{offset_ms, bound_ms}`), is laid into `clock`.
        """
        paths = sorted(self.path.glob("hosts/*/facts.json"))
        facts = {path.parent.name: optional_document(path) for path in paths}
        for host, measured in (self.meta.get("clocks") or {}).items():
            own = facts.setdefault(host, {})
            own["clock"] = {**(own.get("clock") or {}), **measured}
        return facts

    def events(self, kind: str = "", subject: str = "*", *, host: str = "*") -> list[Event]:
        """Events whose kind begins with `kind` and whose subject and host match the globs."""
        return [
            event
            for event in self.iter_events(kind)
            if fnmatchcase(event["subject"], subject) and fnmatchcase(event["host"], host)
        ]

    def iter_events(self, kind: str = "") -> Iterator[Event]:
        """The timeline, oldest first, one event at a time."""
        path = self.path / "events.jsonl"
        if not path.exists():
            return
        # The build wrote these lines: compact, so the kind can be told before parsing.
        mark = f'"kind":{json.dumps(kind)[:-1]}'.encode()
        with path.open("rb") as file:
            for line in file:
                if mark in line:
                    event: Event = json.loads(line)
                    if event["kind"].startswith(kind):
                        yield event

    def series(
        self,
        subject: str,
        metric: str,
        from_s: float | None = None,
        to_s: float | None = None,
    ) -> dict[tuple[str, str], Series]:
        """One metric of all subjects that match a glob, by (host, subject), oldest first.

        Within `from_s` ≤ t < `to_s`, seconds after the plan's zero. `*` also matches slashes.
        """
        chosen = (
            " FROM series WHERE subject GLOB ? AND metric = ? AND t >= ? AND t < ? ",
            subject,
            metric,
            -np.inf if from_s is None else self.zero + from_s,
            np.inf if to_s is None else self.zero + to_s,
        )
        # Names are asked for once per group: repeated on every row they take most of the memory.
        groups = self.query(
            f"SELECT host, subject, count(*){chosen[0]}GROUP BY ALL ORDER BY host, subject",
            *chosen[1:],
        ).fetchall()
        rows = self.query(
            f"SELECT t, value{chosen[0]}ORDER BY host, subject, t", *chosen[1:]
        ).fetchnumpy()
        ends = np.cumsum([count for _, _, count in groups])[:-1]
        parts = zip(np.split(rows["t"], ends), np.split(rows["value"], ends), strict=True)
        return {
            (host, name): Series(*part)
            for (host, name, _), part in zip(groups, parts, strict=False)
        }

    def newest(self, subject: str) -> dict[tuple[str, str], float]:
        """The last value of every metric of all subjects like a glob, by (subject, metric)."""
        rows = self.query(
            "SELECT subject, metric, arg_max(value, t) FROM series WHERE subject GLOB ? "
            "GROUP BY ALL ORDER BY ALL",
            subject,
        ).fetchall()
        return {(name, metric): float(value) for name, metric, value in rows}

    def query(self, sql: str, *parameters: Any) -> duckdb.DuckDBPyConnection:
        """Run SQL on the view `series` (t, at_s, host, subject, metric, value)."""
        return self._database.cursor().execute(sql, parameters)

    def journal(self, host: str, unit: str | None = None) -> Iterator[Entry]:
        """Journal entries of a host, of or about one unit, oldest first; see `has_journal`."""
        path = self.path / "hosts" / host / JOURNAL_FILE
        return read_journal(path, unit=unit) if path.exists() else iter(())

    def has_journal(self, host: str) -> bool:
        """Whether the host's journal is here at all."""
        return (self.path / "hosts" / host / JOURNAL_FILE).exists()

    def hears_kernel(self, host: str) -> bool:
        """Whether what the host's kernel said is here: in its journal, or kept by the machine."""
        contained = self.facts.get(host, {}).get("virtualization") == CONTAINER
        return (self.path / KERNEL_FILE).exists() if contained else self.has_journal(host)

    def timeline(self) -> Iterator[Line]:
        """What any host said, in one order (`screamlab.evidence.timeline`)."""
        path = self.path / TIMELINE_FILE
        return read_timeline(path) if path.exists() else iter(())

    @cached_property
    def _database(self) -> duckdb.DuckDBPyConnection:
        database = duckdb.connect()
        path = self.path / "series.parquet"
        if path.exists():
            quoted = str(path).replace("'", "''")
            source = f"read_parquet('{quoted}')"
        else:
            source = (
                "(SELECT NULL::DOUBLE t, '' host, '' subject, '' metric, NULL::DOUBLE value"
                " WHERE false)"
            )
        database.execute(
            f"CREATE VIEW series AS SELECT t, t - {self.zero!r}::DOUBLE AS at_s,"
            f" host, subject, metric, value FROM {source}"
        )
        return database


def _read_document(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise BadInput(f"{path}: {error}") from error
    if not isinstance(value, dict):
        raise BadInput(f"{path}: must be a JSON object")
    return value


def optional_document(path: Path) -> dict[str, Any]:
    """The JSON object in a file; an empty one where there is none, or none that can be read."""
    try:
        return _read_document(path)
    except BadInput:
        return {}
