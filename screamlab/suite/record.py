"""What is known of a suite that is, or was, carried out: ``runs/suites/<suite-id>/``.

``suite.json`` is the record, rewritten whenever a run begins or ends, so that a suite that was
interrupted can go on; ``junit.xml`` sums it up. The runs themselves are ordinary run folders.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from screamlab.errors import BadInput
from screamlab.judge.model import EXIT_CODES, Outcome
from screamlab.suite.model import Cell, Suite

FOLDER = "suites"
FILE = "suite.json"
# The worst first. A failure of the router is news whatever else did not work that night.
WORST: tuple[Outcome, ...] = ("FAIL", "INFRA", "INVALID", "PASS")


class Attempt(BaseModel):
    """One run of a cell; without a verdict it was begun and did not come to its end."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    verdict: Outcome | None = None
    reason: str = ""


class Part(BaseModel):
    """A cell and its runs; `before` is the verdict that had it run again."""

    cell: Cell
    attempts: list[Attempt] = []
    before: Outcome | None = None

    @property
    def verdict(self) -> Outcome | None:
        """The verdict that counts: that of the newest run."""
        return self.attempts[-1].verdict if self.attempts else None

    @property
    def reason(self) -> str:
        return self.attempts[-1].reason if self.attempts else "not run yet"


class Record(BaseModel):
    """A suite that is carried out."""

    model_config = ConfigDict(populate_by_name=True)

    schema_version: Literal[1] = Field(default=1, alias="schema")
    suite: str
    suite_id: str
    title: str
    rerun_of: str | None = None
    invalid_retries: int = 0
    parts: list[Part]

    @property
    def verdict(self) -> Outcome | None:
        """The worst verdict of all, or None while there are runs to come."""
        verdicts = [part.verdict for part in self.parts]
        if None in verdicts:
            return None
        return next(outcome for outcome in WORST if outcome in verdicts)

    @property
    def exit_code(self) -> int:
        """What the command ends with; a suite that is not over tells nothing of the router."""
        return EXIT_CODES[self.verdict or "INFRA"]

    @property
    def line(self) -> str:
        """The verdict in one line, with the first run that made it."""
        done = [part for part in self.parts if part.verdict]
        counts = ", ".join(
            f"{count} {outcome}"
            for outcome in WORST
            if (count := sum(part.verdict == outcome for part in done))
        )
        head = f"{self.verdict or 'UNFINISHED'} {self.suite}: {len(done)} of {len(self.parts)} runs"
        first = next((p for p in self.parts if p.verdict == self.verdict != "PASS"), None)
        why = f"; first {first.cell.name}: {first.reason}" if first and self.verdict else ""
        return f"{head}{f', {counts}' if counts else ''}{why}"


def begin(
    suite: Suite, cells: Sequence[Cell], runs: Path, now: float | None = None
) -> tuple[Record, Path]:
    """The record of a suite that begins, and its folder."""
    parts = [Part(cell=cell) for cell in cells]
    suite_id = f"{_stamp(now)}-{suite.name}"
    record = Record(suite=suite.name, suite_id=suite_id, title=suite.title,
                    invalid_retries=suite.invalid_retries, parts=parts)  # fmt: skip
    return record, _make(record, runs)


def begin_again(old: Record, runs: Path, now: float | None = None) -> tuple[Record, Path]:
    """A suite of all runs of `old` that did not pass, with their seeds; `BadInput` if none."""
    parts = [
        Part(cell=part.cell, before=part.verdict)
        for part in old.parts
        if part.verdict not in (None, "PASS")
    ]
    if not parts:
        raise BadInput(f"{old.suite_id}: no run of it failed, so there is nothing to run again")
    record = Record(
        suite=old.suite,
        suite_id=f"{_stamp(now)}-{old.suite}-again",
        title=old.title,
        rerun_of=old.suite_id,
        invalid_retries=old.invalid_retries,
        parts=parts,
    )
    return record, _make(record, runs)


def find_record(name: str, runs: Path) -> tuple[Record, Path]:
    """The record of a suite by its id, its folder or ``latest``, and its folder."""
    folder = (Path(name) if os.sep in name else runs / FOLDER / name).resolve()
    if not (folder / FILE).exists():
        known = ", ".join(sorted(file.parent.name for file in folder.parent.glob(f"*/{FILE}")))
        raise BadInput(f"{folder}: no suite was run under this name; known: {known or 'none'}")
    return read_record(folder), folder


def read_record(folder: Path) -> Record:
    """The record in the folder of a suite; `BadInput` when it cannot be read."""
    file = folder / FILE
    try:
        return Record.model_validate_json(file.read_bytes())
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadInput(f"{file}: {where}: {first['msg']}") from error


def save(record: Record, folder: Path) -> None:
    """Write ``suite.json`` and ``junit.xml``, each whole or not at all."""
    told = {
        **json.loads(record.model_dump_json(by_alias=True)),
        "verdict": record.verdict,
        "line": record.line,
    }
    for name, text in ((FILE, json.dumps(told, indent=1) + "\n"), ("junit.xml", _junit(record))):
        draft = folder / f".{name}"
        draft.write_text(text, encoding="utf-8")
        draft.replace(folder / name)


def _make(record: Record, runs: Path) -> Path:
    folder = runs / FOLDER / record.suite_id
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise BadInput(f"{folder}: this suite folder exists already") from None
    save(record, folder)
    link = folder.parent / f".latest-{os.getpid()}"
    link.symlink_to(record.suite_id)
    link.replace(folder.parent / "latest")
    return folder


def _stamp(now: float | None) -> str:
    return time.strftime("%Y%m%d-%H%M%S", time.localtime(now))


def _junit(record: Record) -> str:
    """One test suite per entry, one test case per run."""
    report = JUnitXml(record.suite)
    for entry in dict.fromkeys(part.cell.entry for part in record.parts):
        suite = TestSuite(entry)
        suite.add_testcases([_case(part) for part in record.parts if part.cell.entry == entry])
        report.add_testsuite(suite)
    report.update_statistics()
    return str(report.tostring().decode()) + "\n"


def _case(part: Part) -> TestCase:
    case = TestCase(part.cell.name, classname=part.cell.scenario.stem)
    if part.verdict == "FAIL":
        case.result = [Failure(part.reason, part.verdict)]
    elif part.verdict in ("INVALID", "INFRA"):
        case.result = [Error(part.reason, part.verdict)]
    elif part.verdict is None:
        case.result = [Skipped(part.reason or "begun, and not at its end", "unfinished")]
    case.system_out = ", ".join(attempt.run_id for attempt in part.attempts)
    return case
