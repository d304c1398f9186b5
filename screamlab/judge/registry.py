"""The table of checks: by id, each with the model of its parameters and what it promises."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from screamlab.judge.faults import Fault
from screamlab.judge.model import CheckResult, Status
from screamlab.judge.view import Run

# Keys of a check in a scenario file that are not the check's own parameters.
RESERVED = frozenset({"id", "scales"})


class Params(BaseModel):
    """Parameters every check has.

    Below `min_samples` observations a check answers unknown; subjects that match a glob of
    `leave_out` are not judged by it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    min_samples: int = Field(default=5, ge=1)
    leave_out: tuple[str, ...] = ()

    def judges(self, subject: str) -> bool:
        """Whether a subject is not left out."""
        return not any(fnmatchcase(subject, glob) for glob in self.leave_out)


P = TypeVar("P", bound=Params)


@dataclass(frozen=True)
class CheckSpec:
    """A check: a pure function of the run and its parameters."""

    id: str
    params: type[Params]
    function: Callable[[Run, Any], list[CheckResult]]
    faults: Callable[[Run, Any], list[Fault]] | None = None

    @property
    def title(self) -> str:
        """What must hold, in one sentence."""
        return (self.function.__doc__ or self.id).strip().splitlines()[0]


CHECKS: dict[str, CheckSpec] = {}

Function = Callable[[Run, P], list[CheckResult]]


def check(
    check_id: str, params: type[P], faults: Callable[[Run, P], list[Fault]] | None = None
) -> Callable[[Function[P]], Function[P]]:
    """Enter the decorated function into the table.

    `faults` tells, under the same parameters, when and where the lab itself could not be trusted.
    """

    def enter(function: Function[P]) -> Function[P]:
        if check_id in CHECKS:
            raise ValueError(f"check {check_id} is defined twice")
        CHECKS[check_id] = CheckSpec(check_id, params, function, faults)
        return function

    return enter


def parse_check(item: Mapping[str, Any]) -> tuple[CheckSpec, Params]:
    """The check and the parameters that one list item of a scenario asks for.

    Raises ValueError with a sentence that names the key.
    """
    if not isinstance(item, Mapping) or "id" not in item:
        raise ValueError("id: every check needs one")
    spec = CHECKS.get(str(item["id"]))
    if spec is None:
        raise ValueError(f"id: there is no check '{item['id']}'; known: {', '.join(CHECKS)}")
    given = {key: value for key, value in item.items() if key not in RESERVED}
    try:
        return spec, spec.params.model_validate(given)
    except ValidationError as error:
        raise ValueError(f"{spec.id}: {_sentence(error, spec)}") from error


def some_check(glob: str) -> str:
    """`glob` itself; ValueError when no check's id matches it."""
    if not any(fnmatchcase(check_id, glob) for check_id in CHECKS):
        raise ValueError(f"'{glob}' matches no check; known: {', '.join(CHECKS)}")
    return glob


def validate_check(item: Mapping[str, Any]) -> None:
    """Raise ValueError, naming the key, when a scenario's check cannot be carried out."""
    parse_check(item)


def validate_checks(items: Iterable[Mapping[str, Any]]) -> None:
    """`validate_check` for a list; a check with the same parameters twice is a mistake too."""
    seen = []
    for item in items:
        parsed = parse_check(item)
        if parsed in seen:
            raise ValueError(f"id: '{parsed[0].id}' stands there twice")
        seen.append(parsed)


def _sentence(error: ValidationError, spec: CheckSpec) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"{key}: there is no such parameter; known: {', '.join(spec.params.model_fields)}"
    return f"{key}: {first['msg']}, not {first['input']!r}"


@dataclass(frozen=True)
class Grader:
    """Turns a number into a result: unknown on too few samples, then pass or `bad`."""

    id: str
    min_samples: int
    bad: Status = "fail"

    def at_most(
        self,
        subject: str,
        value: float,
        limit: float,
        unit: str,
        samples: int,
        reason: str,
        at_s: float | None = None,
    ) -> CheckResult:
        return self._grade(subject, value, limit, unit, samples, reason, at_s, value <= limit)

    def at_least(
        self,
        subject: str,
        value: float,
        limit: float,
        unit: str,
        samples: int,
        reason: str,
        at_s: float | None = None,
    ) -> CheckResult:
        return self._grade(subject, value, limit, unit, samples, reason, at_s, value >= limit)

    def unknown(
        self, subject: str, reason: str, samples: int = 0, unheard: tuple[str, ...] = ()
    ) -> CheckResult:
        return CheckResult(
            id=self.id,
            subject=subject,
            status="unknown",
            samples=samples,
            reason=reason,
            unheard=unheard,
        )

    def too_few(self, subject: str, samples: int, what: str) -> CheckResult:
        plural = "" if samples == 1 else "s"
        return self.unknown(
            subject, f"only {samples} sample{plural} of {what}, {self.min_samples} needed", samples
        )

    def _grade(
        self,
        subject: str,
        value: float,
        limit: float,
        unit: str,
        samples: int,
        reason: str,
        at_s: float | None,
        good: bool,
    ) -> CheckResult:
        if samples < self.min_samples:
            return self.too_few(subject, samples, "this")
        return CheckResult(
            id=self.id,
            subject=subject,
            status="pass" if good else self.bad,
            value=value,
            unit=unit,
            threshold=limit,
            at_s=at_s,
            samples=samples,
            reason=reason,
        )
