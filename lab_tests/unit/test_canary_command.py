"""``screamlab canary``: what it runs, remembers and prints."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from screamlab.canary import command
from screamlab.canary.command import Lab, try_canaries
from screamlab.canary.compare import Found
from screamlab.canary.model import Canary
from screamlab.errors import BadInput

FILE = """\
scenario: canary
canaries:
  - {name: clean, plants: nothing, scale: quick, verdict: PASS}
  - name: full
    plants: a disk is full
    scale: quick
    fault: {kind: disk, phase: hold, at_seconds: 1, for_seconds: 2}
    verdict: INVALID
    detected: [{check: lab.agents, status: invalid}]
"""
LAB = Lab(Path("inventory"), {})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the record is, beside a file of two canaries; the one with a fault is not seen."""
    (tmp_path / "canaries.yml").write_text(FILE)
    monkeypatch.setattr(command, "CANARIES", tmp_path / "canaries.yml")
    monkeypatch.setattr(command, "RECORD", tmp_path / "canaries.json")

    def run(_scenario: Path, canary: Canary, _lab: Lab, _console: Console) -> Found:
        wrong = ("it was not seen",) if canary.fault else ()
        return Found(name=canary.name, run_id=f"r-{canary.name}", verdict="PASS", wrong=wrong)

    monkeypatch.setattr(command, "_run", run)
    return tmp_path


def console() -> Console:
    return Console(file=io.StringIO(), width=200)


def test_all_are_run_and_remembered(folder: Path) -> None:
    page, out = folder / "docs" / "canaries.md", console()
    assert try_canaries([], LAB, page, out) == 1
    record = json.loads((folder / "canaries.json").read_text())
    assert {name: found["run_id"] for name, found in record.items()} == {
        "clean": "r-clean",
        "full": "r-full",
    }
    assert "| clean | nothing | nothing |  | PASS | yes |" in page.read_text()
    assert "wrong: it was not seen" in out.file.getvalue()  # type: ignore[attr-defined]


def test_single_ones_leave_what_is_known_of_others(folder: Path) -> None:
    try_canaries(["full"], LAB, None, console())
    assert try_canaries(["clean"], LAB, None, console()) == 0
    assert set(json.loads((folder / "canaries.json").read_text())) == {"clean", "full"}


def test_what_was_never_run_cannot_be_judged_again(folder: Path) -> None:
    with pytest.raises(BadInput, match="'clean' was never run"):
        try_canaries(["clean"], None, None, console())


def test_a_record_that_is_none_is_refused(folder: Path) -> None:
    (folder / "canaries.json").write_text("[]")
    with pytest.raises(BadInput, match="canaries.json: .*can be removed"):
        try_canaries([], LAB, None, console())
