"""Judging a run folder on disk, as it is after a collection: whole, partial, broken."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from junitparser import JUnitXml

from screamlab.errors import BadInput
from screamlab.judge.canary import CanaryRun
from screamlab.judge.canary_bundle import write
from screamlab.judge.model import Verdict
from screamlab.judge.run import judge_run
from screamlab.paths import CHECKOUT

CHECKS = [
    {"id": check_id}
    for check_id in ("lab.agents", "lab.pacing", "lab.null_path", "router.alive", "audio.heard",
                     "audio.dropouts")
]  # fmt: skip
SCREAM = "stream/scream-out-01/scream-in-01"


@pytest.fixture
def known(tmp_path: Path) -> Path:
    path = tmp_path / "known_issues.yml"
    path.write_text(
        "- {id: silent, versions: '==0.3.75', check: audio.heard, subject: 'stream/*/scream-*',"
        " reason: no timestamp}\n"
    )
    return path


def silent_scream() -> CanaryRun:
    run = CanaryRun(CHECKS)
    run.change(SCREAM, "heard", lambda t, v: 0)
    run.told = [e for e in run.told if (e["kind"], e["subject"]) != ("stream.heard", SCREAM)]
    return run


def test_a_folder_is_judged_and_its_three_files_agree(tmp_path: Path, known: Path) -> None:
    folder = write(silent_scream(), tmp_path / "run")
    verdict = judge_run(folder, known)
    assert verdict.verdict == "PASS", verdict.reason
    assert (verdict.count("xfail"), verdict.count("fail")) == (1, 0)
    assert Verdict.model_validate_json((folder / "verdict.json").read_text()) == verdict
    report = JUnitXml.fromfile(str(folder / "junit.xml"))
    assert (report.tests, report.skipped) == (len(verdict.checks), 1)
    assert (report.failures, report.errors) == (0, 0)
    assert verdict.reason in (folder / "report.html").read_text()
    assert sorted(path.name for path in folder.iterdir() if path.name[0] == ".") == []


def test_judging_again_says_the_same(tmp_path: Path, known: Path) -> None:
    folder = write(CanaryRun(CHECKS), tmp_path / "run")
    first = judge_run(folder, known)
    told = (folder / "verdict.json").read_bytes()
    assert judge_run(folder, known) == first
    assert (folder / "verdict.json").read_bytes() == told


def test_an_xpass_is_news_and_passes(tmp_path: Path, known: Path) -> None:
    verdict = judge_run(write(CanaryRun(CHECKS), tmp_path / "run"), known)
    assert (verdict.verdict, verdict.count("xpass")) == ("PASS", 1)
    assert "known_issues.yml" in verdict.reason


def test_a_missing_host_is_infra_and_the_rest_is_judged(tmp_path: Path, known: Path) -> None:
    folder = write(CanaryRun(CHECKS), tmp_path / "run", hosts={"router1", "client1"})
    verdict = judge_run(folder, known)
    assert verdict.verdict == "INFRA" and "client2" in verdict.reason
    assert any(r.id == "router.alive" and r.status == "pass" for r in verdict.checks)
    assert (JUnitXml.fromfile(str(folder / "junit.xml")).errors or 0) >= 1


def test_what_the_controller_noted_is_the_reason(tmp_path: Path, known: Path) -> None:
    folder = tmp_path / "run"
    (folder / "plans").mkdir(parents=True)
    run = CanaryRun(CHECKS)
    (folder / "run.json").write_text(json.dumps(run.meta | {"zero": None}))
    (folder / "infra.json").write_text('{"reason": "router1: no such version 9.9"}')
    verdict = judge_run(folder, known)
    assert (verdict.verdict, verdict.reason) == ("INFRA", "router1: no such version 9.9")
    assert "no such version 9.9" in (folder / "report.html").read_text()


def test_nothing_but_a_plan_is_infra(tmp_path: Path, known: Path) -> None:
    folder = write(CanaryRun(CHECKS), tmp_path / "run", hosts=set())
    assert judge_run(folder, known).exit_code == 4


def test_an_error_leaves_the_earlier_verdict(tmp_path: Path, known: Path) -> None:
    folder = write(CanaryRun(CHECKS), tmp_path / "run")
    judge_run(folder, known)
    names = ("verdict.json", "junit.xml", "report.html")
    before = {name: (folder / name).read_bytes() for name in names}
    known.write_text("- nonsense")
    with pytest.raises(BadInput):
        judge_run(folder, known)
    assert {name: (folder / name).read_bytes() for name in names} == before


def test_a_check_nobody_knows_is_bad_input(tmp_path: Path, known: Path) -> None:
    folder = write(CanaryRun([{"id": "audio.smell"}]), tmp_path / "run")
    with pytest.raises(BadInput, match="audio.smell"):
        judge_run(folder, known)


def test_a_folder_that_is_no_run_is_bad_input(tmp_path: Path, known: Path) -> None:
    with pytest.raises(BadInput, match=r"run\.json"):
        judge_run(tmp_path, known)


def module(folder: Path, known: Path, *, check: bool = False) -> dict[str, Any]:
    """One run of the Ansible module `verdict`."""
    arguments = {
        "folder": str(folder),
        "known_issues": str(known),
        "_ansible_check_mode": check,
    }
    done = subprocess.run(
        [sys.executable, CHECKOUT / "library" / "verdict.py"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        capture_output=True,
        text=True,
    )
    assert done.stdout, done.stderr
    told = json.loads(done.stdout)
    assert isinstance(told, dict)
    return told


def test_the_module_changes_once_and_check_mode_tells_the_truth(
    tmp_path: Path, known: Path
) -> None:
    folder = write(silent_scream(), tmp_path / "run")
    files = ["junit.xml", "report.html", "verdict.json"]
    asked = module(folder, known, check=True)
    assert (asked["changed"], asked["files"]) == (True, files)
    assert not (folder / "verdict.json").exists()
    made = module(folder, known)
    assert (made["changed"], made["files"]) == (True, files)
    assert (made["verdict"], made["exit_code"]) == ("PASS", 0)
    assert not module(folder, known)["changed"]
    assert not module(folder, known, check=True)["changed"]


def test_the_module_fails_with_one_sentence(tmp_path: Path, known: Path) -> None:
    told = module(tmp_path, known)
    assert told["failed"] and "run.json" in told["msg"]
