"""What a judgement is made of: results of checks and the verdict, in their outward form."""

from __future__ import annotations

import math
import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Status = Literal["pass", "fail", "xfail", "xpass", "unknown", "invalid"]
Outcome = Literal["PASS", "FAIL", "INVALID", "INFRA"]

STATUSES: tuple[Status, ...] = ("fail", "invalid", "unknown", "xpass", "xfail", "pass")
# What may stand neither in a line of a terminal nor in XML 1.0 (section 2.2).
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
EXIT_CODES: dict[Outcome, int] = {"PASS": 0, "FAIL": 1, "INVALID": 3, "INFRA": 4}


class CheckResult(BaseModel):
    """What one check found about one subject.

    `value` is in `unit` and is held against `threshold`; `samples` is how many observations
    stand behind it. `at_s` is when that which it tells of was first seen, in seconds after the
    plan's zero, where there is such a moment. `unheard` names the streams whose silence is all
    that makes this result unknown; it does not leave the program.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str
    subject: str
    status: Status
    value: float | None = None
    unit: str | None = None
    threshold: float | None = None
    samples: int = 0
    at_s: float | None = None
    reason: str
    unheard: tuple[str, ...] = Field(default=(), exclude=True, repr=False)

    @field_validator("value", "threshold", "at_s", mode="after")
    @classmethod
    def _six_digits(cls, number: float | None) -> float | None:
        if number is None or not math.isfinite(number):
            return None
        return float(f"{number:.6g}")

    @field_validator("reason", mode="after")
    @classmethod
    def _one_line(cls, text: str) -> str:
        return " ".join(_CONTROL.sub(" ", text).split())

    def but(self, **changes: Any) -> CheckResult:
        """The same result with some fields changed."""
        return self.model_copy(update=changes)


class RouterId(BaseModel):
    """Which router was judged, and which engine it had loaded.

    `commit` and `flags` are known of an engine that the lab built; `flags` of the compilers.
    """

    version: str | None = None
    method: str | None = None
    build_id: str | None = None
    commit: str | None = None
    flags: tuple[str, ...] = ()


class Verdict(BaseModel):
    """The verdict on a run; `verdict.json` is this, and schedules read it."""

    model_config = ConfigDict(populate_by_name=True, frozen=True)

    schema_version: Literal[1] = Field(default=1, alias="schema")
    run_id: str
    scenario: str
    scale: str
    verdict: Outcome
    reason: str
    router: RouterId
    checks: tuple[CheckResult, ...] = ()

    @property
    def exit_code(self) -> int:
        """The code every command ends with after giving this verdict."""
        return EXIT_CODES[self.verdict]

    @property
    def line(self) -> str:
        """The verdict in one line, as it stands last on a terminal."""
        return f"{self.verdict} {self.scenario} {self.scale}: {self.reason}"

    def count(self, status: Status) -> int:
        """How many checks answered `status`."""
        return sum(check.status == status for check in self.checks)

    def to_json(self) -> str:
        """The text of `verdict.json`."""
        return self.model_dump_json(by_alias=True, indent=2) + "\n"
