"""Judge a run folder: the one entry point for commands and playbooks."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from screamlab.errors import BadInput, InfraError
from screamlab.evidence.bundle import VERDICT_FILE, Bundle
from screamlab.evidence.packets import PACKETS_FILE
from screamlab.judge.checks import CHECKS, parse_check
from screamlab.judge.faults import Fault
from screamlab.judge.known_issues import KnownIssue, apply, load_known_issues
from screamlab.judge.model import CheckResult, Verdict
from screamlab.judge.registry import CheckSpec, Params
from screamlab.judge.verdict import give_verdict
from screamlab.judge.view import Run
from screamlab.judge.wire import packets
from screamlab.report.html import render_html
from screamlab.report.junit import render_junit

Wanted = Sequence[tuple[CheckSpec, Params]]


@dataclass(frozen=True)
class Judgement:
    """A verdict, and the names of the files in the run folder that it changed (or would)."""

    verdict: Verdict
    changed: tuple[str, ...]


def judge_run(run_dir: Path, known_issues: Path) -> Verdict:
    """Judge the evidence in `run_dir` and write verdict.json, junit.xml and report.html there.

    See `judge_folder`.
    """
    return judge_folder(run_dir, known_issues).verdict


def verdict_on(run_dir: Path, known_issues: Path) -> Verdict:
    """The verdict that the main job has given; its own where the job broke off before that.

    See `judge_folder`.
    """
    given = run_dir / VERDICT_FILE
    if given.exists():
        return Verdict.model_validate_json(given.read_bytes())
    return judge_run(run_dir, known_issues)


def judge_folder(run_dir: Path, known_issues: Path, *, dry: bool = False) -> Judgement:
    """Judge a run folder; with `dry` nothing is written.

    What tshark reads of captures is written down as well, so that it need not be asked again.
    Works on what is there of a partial run, and needs no lab. All files are made before
    the first is replaced, so an error leaves the earlier ones as they were; a file that would
    stay the same is not touched. `BadInput` when the folder is no run, a check in it is not
    known, or `known_issues` cannot be read; `InfraError` when the files cannot be written.
    """
    issues = load_known_issues(known_issues)
    with Bundle(run_dir) as bundle:
        run = Run(bundle)
        verdict = judge(run, issues)
        made = {
            "report.html": render_html(run, verdict, issues),
            "junit.xml": render_junit(verdict),
            VERDICT_FILE: verdict.to_json(),
        }
        captured = packets(run)
        if captured.captures and not captured.error:
            made[PACKETS_FILE] = captured.to_json()
    changed = {name: text for name, text in made.items() if _differs(run_dir / name, text)}
    if not dry:
        try:
            _write_all(run_dir, changed)
        except OSError as error:
            raise InfraError(f"{run_dir}: cannot write the verdict: {error.strerror}") from error
    return Judgement(verdict, tuple(sorted(changed)))


def judge(run: Run, issues: Sequence[KnownIssue]) -> Verdict:
    """The verdict on a run in the light of known issues; writes nothing."""
    wanted = _wanted(run.meta.get("checks", ()))
    run.faults, broken = _faults(run, wanted)
    results = [result for spec, params in wanted for result in _ask(run, spec, params)]
    results = apply([*broken, *_answered(results)], issues, run.router.version)
    return give_verdict(run, results)


def _wanted(checks: Iterable[Mapping[str, Any]]) -> Wanted:
    try:
        return [parse_check(item) for item in checks]
    except ValueError as error:
        raise BadInput(f"run.json: checks: {error}") from error


def _faults(run: Run, wanted: Wanted) -> tuple[tuple[Fault, ...], list[CheckResult]]:
    """The lab's faults under the scenario's parameters, under the defaults where it has none.

    The results are of those who look for faults and broke: what they would excuse is unknown.
    """
    asked = {spec.id: params for spec, params in wanted}
    faults: list[Fault] = []
    broken = []
    for spec in CHECKS.values():
        if spec.faults is None:
            continue
        try:
            faults.extend(spec.faults(run, asked.get(spec.id) or spec.params()))
        except Exception as error:
            broken.append(_broke(spec, "faults", error))
    return tuple(faults), broken


def _ask(run: Run, spec: CheckSpec, params: Params) -> list[CheckResult]:
    """A check's answer; one that breaks, or has nothing to say, knows nothing."""
    try:
        results = spec.function(run, params)
    except Exception as error:
        return [_broke(spec, "check", error)]
    nothing = CheckResult(id=spec.id, subject="check", status="unknown", reason="it said nothing")
    return [result for result in results if params.judges(result.subject)] or [nothing]


def _broke(spec: CheckSpec, subject: str, error: Exception) -> CheckResult:
    reason = f"the check itself broke: {type(error).__name__}: {error}"
    return CheckResult(id=spec.id, subject=subject, status="unknown", reason=reason)


def _answered(results: Sequence[CheckResult]) -> list[CheckResult]:
    """Leave out what is unknown only because of streams that `audio.heard` has judged silent."""
    silent = {
        result.subject
        for result in results
        if result.id == "audio.heard" and result.status in ("fail", "invalid")
    }
    return [r for r in results if not (r.unheard and silent.issuperset(r.unheard))]


def _differs(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() != text.encode()
    except FileNotFoundError:
        return True


def _write_all(run_dir: Path, texts: Mapping[str, str]) -> None:
    """Write every file beside its place first, then put them in place one after the other."""
    ready: list[tuple[Path, Path]] = []
    try:
        for name, text in texts.items():
            handle, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=run_dir)
            ready.append((Path(temporary), run_dir / name))
            with open(handle, "w", encoding="utf-8") as file:
                file.write(text)
                os.fchmod(file.fileno(), 0o644)
        for temporary_path, place in ready:
            temporary_path.replace(place)
    finally:
        for temporary_path, _ in ready:
            temporary_path.unlink(missing_ok=True)
