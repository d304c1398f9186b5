"""Failures that are expected of given router versions, so that a schedule only tells news.

A failing result that an entry matches is `xfail`. When everything an entry matches passes, the
issue seems to be gone and those results are `xpass`, unless the entry is `intermittent`. Unknown
and invalid stay what they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from screamlab.judge.checks import some_check
from screamlab.judge.model import CheckResult
from screamlab.scenario.yaml_lines import load


class KnownIssue(BaseModel):
    """One entry of `known_issues.yml`.

    `versions` is a version specifier (PEP 440), `check` and `subject` are shell-style globs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1)
    versions: str = Field(min_length=1)
    check: str = Field(min_length=1)
    subject: str = Field(default="*", min_length=1)
    reason: str = Field(min_length=1)
    reference: str | None = None
    intermittent: bool = Field(default=False, description="a pass is no news")

    @field_validator("versions")
    @classmethod
    def _specifier(cls, text: str) -> str:
        try:
            SpecifierSet(text)
        except InvalidSpecifier as error:
            raise ValueError(f"'{text}' is not a version specifier like >=0.3.73,<0.4") from error
        return text

    @field_validator("check")
    @classmethod
    def _exists(cls, glob: str) -> str:
        return some_check(glob)

    def concerns(self, version: str | None) -> bool:
        """Whether a router of this version has the issue; none of an unknown version."""
        try:
            return SpecifierSet(self.versions).contains(Version(version or ""), prereleases=True)
        except InvalidVersion:
            return False

    def matches(self, result: CheckResult) -> bool:
        """Whether a result is about this issue."""
        return fnmatchcase(result.id, self.check) and fnmatchcase(result.subject, self.subject)


def load_known_issues(path: Path) -> tuple[KnownIssue, ...]:
    """Read `known_issues.yml`; `BadInput` names file, line and key of what is wrong."""
    source = load(path)
    items = source.data or []
    if not isinstance(items, list):
        raise source.error((), "known issues are a list of entries")
    issues: list[KnownIssue] = []
    for at, item in enumerate(items):
        try:
            issue = KnownIssue.model_validate(item)
        except ValidationError as error:
            first = error.errors()[0]
            message = first["msg"].removeprefix("Value error, ")
            if first["type"] == "extra_forbidden":
                message = f"there is no such key; known: {', '.join(KnownIssue.model_fields)}"
            raise source.error((at, *first["loc"]), message) from error
        if any(other.id == issue.id for other in issues):
            raise source.error((at, "id"), f"'{issue.id}' is taken already")
        issues.append(issue)
    return tuple(issues)


def apply(
    results: Sequence[CheckResult], issues: Sequence[KnownIssue], version: str | None
) -> list[CheckResult]:
    """The results as they stand in the light of what is known of this router version."""
    changed = list(results)
    for issue in issues:
        if not issue.concerns(version):
            continue
        matched = [at for at, result in enumerate(results) if issue.matches(result)]
        gone = not issue.intermittent and all(results[at].status == "pass" for at in matched)
        for at in matched:
            result = changed[at]
            if result.status == "fail":
                reason = f"{result.reason}; expected: {issue.reason} (known issue {issue.id})"
                changed[at] = result.but(status="xfail", reason=reason)
            elif gone and result.status == "pass":
                reason = f"{result.reason}; known issue {issue.id} was expected to show here"
                changed[at] = result.but(status="xpass", reason=reason)
    return changed
