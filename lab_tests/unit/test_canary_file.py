"""The file of canaries: the shipped one loads, and mistakes name file, line and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from screamlab.canary.model import load_canaries
from screamlab.errors import BadInput
from screamlab.inject.worker import KINDS
from screamlab.paths import CANARIES
from screamlab.scenario.model import load_scenario

CLEAN = """\
scenario: canary
canaries:
  - {name: clean, plants: nothing, scale: quick, verdict: PASS}
"""
HANG = """\
  - name: hang
    plants: a router that stands still
    scale: quick
    fault: {kind: signal, signal: STOP, unit: u.service, phase: hold, at_seconds: 1, for_seconds: 2}
    verdict: FAIL
    detected:
      - {check: router.responsive}
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "canaries.yml"
    file.write_text(text)
    return file


def test_the_shipped_file_loads_and_begins_clean_at_every_scale() -> None:
    canaries = load_canaries(CANARIES)
    clean = [canary.scale for canary in canaries.canaries if canary.fault is None]
    assert [canary.scale for canary in canaries.canaries[: len(clean)]] == clean
    assert {canary.scale for canary in canaries.canaries} == set(clean)


def test_every_kind_of_fault_has_a_canary() -> None:
    faults = [canary.fault for canary in load_canaries(CANARIES).canaries if canary.fault]
    assert {fault["kind"] for fault in faults} == set(KINDS)


def test_a_canarys_fault_is_the_scenarios(tmp_path: Path) -> None:
    canaries = load_canaries(written(tmp_path, CLEAN + HANG))
    clean, hang = canaries.canaries
    assert load_scenario(canaries.file, clean.scale, clean.overrides).faults == ()
    (fault,) = load_scenario(canaries.file, hang.scale, hang.overrides).faults
    assert (fault.name, fault.kind, fault.for_seconds) == ("hang", "signal", 2)


def test_single_ones_are_chosen_by_name(tmp_path: Path) -> None:
    canaries = load_canaries(written(tmp_path, CLEAN + HANG))
    assert [canary.name for canary in canaries.chosen([])] == ["clean", "hang"]
    assert [canary.name for canary in canaries.chosen(["hang"])] == ["hang"]
    with pytest.raises(BadInput, match="no canary 'hung'; known: clean, hang"):
        canaries.chosen(["hung"])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "check: router.responsive",
            "check: router.nothing",
            "yml:10: .*'router.nothing' matches no check",
        ),
        ("check: router.responsive", "check: churn.time", "does not ask for churn.time"),
        ("signal: STOP", "signal: HUP", "yml:4: .*faults.0.signal: "),
        ("unit: u.service", "worker: w, unit: u", "give one of unit and worker"),
        ("phase: hold", "phase: held", "there is no phase 'held'"),
        ("name: hang", "name: clean", "'clean' is taken already"),
        ("scale: quick\n    fault", "scale: tiny\n    fault", "no scale 'tiny'"),
        ("    detected:\n      - {check: router.responsive}\n", "", "a fault, and nothing else"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in HANG
    with pytest.raises(BadInput, match=words):
        load_canaries(written(tmp_path, CLEAN + HANG.replace(old, new)))
