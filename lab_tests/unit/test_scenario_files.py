"""Scenario files: every shipped one loads, and every mistake names file, line and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from screamlab.errors import BadInput
from screamlab.paths import SCENARIOS
from screamlab.scenario.model import find_scenario, load_scenario
from screamlab.scenario.yaml_lines import load

SHIPPED = sorted(SCENARIOS.glob("*.yml"))

MINIMAL = """\
name: tiny
title: A tiny scenario
scales: [quick, full]
phases:
  - {name: null-path, kind: null_path, seconds: 5}
  - {name: hold, kind: hold, seconds: {quick: 10, full: 3600}}
senders:
  - {name: talk, protocol: rtp, client: native, count: {quick: 2, full: 9}}
receivers:
  - {name: ear, protocol: rtp, client: native, hears: talk, count: 2}
checks:
  - {id: router.alive}
  - {id: audio.dropouts, scales: [full]}
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "tiny.yml"
    file.write_text(text)
    return file


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_every_shipped_scenario_loads_at_every_scale(file: Path) -> None:
    for scale in load(file).data["scales"]:
        assert load_scenario(file, scale).name == file.stem


def test_scale_chooses_numbers_and_items(tmp_path: Path) -> None:
    file = written(tmp_path, MINIMAL)
    quick, full = load_scenario(file, "quick"), load_scenario(file, "full")
    assert (quick.phases[1].seconds, full.phases[1].seconds) == (10, 3600)
    assert (quick.senders[0].count, full.senders[0].count) == (2, 9)
    assert [check["id"] for check in quick.checks] == ["router.alive"]
    assert [check["id"] for check in full.checks] == ["router.alive", "audio.dropouts"]


def test_set_changes_a_named_item_and_nothing_else(tmp_path: Path) -> None:
    file = written(tmp_path, MINIMAL)
    changed = load_scenario(file, "quick", ["phases.hold.seconds=7", "router.version=0.3.60"])
    assert changed.phases[1].seconds == 7
    assert changed.router == {"version": "0.3.60"}
    assert changed.senders == load_scenario(file, "quick").senders


MISTAKES = [
    ("title: A tiny scenario\n", "titel: A tiny scenario\n", "tiny.yml:2: titel", "no such key"),
    ("count: 2}", "count: two}", "tiny.yml:10: receivers.0.count", "integer"),
    ("count: 2}", "count: 2, hoers: talk}", "tiny.yml:10: receivers.0.hoers", "known here: name"),
    ("hears: talk", "hears: walk", "tiny.yml:10: receivers.0.hears", "no sender group 'walk'"),
    ("full: 9}", "huge: 9}", "tiny.yml:8: senders.0.count", "integer"),
    ("{quick: 10, full: 3600}", "{full: 3600}", "tiny.yml:6: phases.1.seconds", "scale 'quick'"),
    ("router.alive}", "router.allive}", "tiny.yml:12: checks.0", "router.allive"),
    ("router.alive}", "router.alive, mex: 1}", "tiny.yml:12: checks.0", "mex"),
    ("kind: null_path", "kind: ramp", "tiny.yml:5: phases.0.kind", "the first phase"),
    ("title: A tiny scenario\n", "title: [\n", "tiny.yml:4", "not valid YAML"),
    ("scales: [quick, full]\n", "name: twice\n", "tiny.yml:3: name", "twice"),
    ("client: native, count: {", "codec: opus, client: native, count: {", "tiny.yml:8", "opus"),
]


@pytest.mark.parametrize(("right", "wrong", "where", "what"), MISTAKES)
def test_a_mistake_names_file_line_and_key(
    tmp_path: Path, right: str, wrong: str, where: str, what: str
) -> None:
    assert right in MINIMAL
    file = written(tmp_path, MINIMAL.replace(right, wrong, 1))
    with pytest.raises(BadInput) as caught:
        load_scenario(file, "quick")
    message = str(caught.value)
    assert where in message
    assert what in message
    assert "\n" not in message
    assert caught.value.exit_code == 2


def test_unknown_scenario_scale_and_setting_are_refused(tmp_path: Path) -> None:
    file = written(tmp_path, MINIMAL)
    with pytest.raises(BadInput, match="no scenario 'tc-x'.*tiny"):
        find_scenario("tc-x", tmp_path)
    with pytest.raises(BadInput, match="no scale 'huge', only quick, full"):
        load_scenario(file, "huge")
    with pytest.raises(BadInput, match="no 'hald' here, only null-path, hold"):
        load_scenario(file, "quick", ["phases.hald.seconds=7"])
    with pytest.raises(BadInput, match="expected key=value"):
        load_scenario(file, "quick", ["phases"])


def test_verbose_logging_leaves_out_what_it_disturbs(tmp_path: Path) -> None:
    file = written(tmp_path, MINIMAL + "watch: {verbose: true}\nrouter: {version: 0.3.73}\n")
    scenario = load_scenario(file, "full")
    assert scenario.router == {"version": "0.3.73", "log_files": True, "log_level": "DEBUG"}
    assert [check["id"] for check in scenario.checks] == ["router.alive"]
    assert scenario.left_out == ("audio.dropouts",)


def test_verbose_logging_with_nothing_left_to_judge_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, MINIMAL.replace("router.alive", "audio.level"))
    with pytest.raises(BadInput, match=r"tiny\.yml.*watch.*what it would disturb"):
        load_scenario(file, "quick", ["watch.verbose=true"])
