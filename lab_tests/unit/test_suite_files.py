"""Suite files: every shipped one loads and expands as written; mistakes name file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from screamlab.errors import BadInput
from screamlab.paths import SUITES
from screamlab.scenario.model import load_scenario
from screamlab.suite.model import find_suite, load_suite

SMALL = """\
name: small
title: A small suite
runs:
  - name: stress
    scenario: tc-stress-001
    settings: {phases.hold.seconds: 20}
    seeds: [7, 8]
    axes:
      - name: version
        choices:
          - {name: 0.3.60, settings: {router.version: 0.3.60, "senders.*.announce": true}}
          - {name: 0.3.75, settings: {router.version: 0.3.75}}
      - name: load
        choices:
          - {name: more, settings: {senders.rtp-l16.count: 3}}
          - {name: all, scale: full}
    leave_out:
      - {version: 0.3.60, load: all}
"""

ENTRY = "  - {name: stress, scenario: null-path, seeds: [1]}\n"


def written(folder: Path, text: str) -> Path:
    file = folder / "small.yml"
    file.write_text(text)
    return file


@pytest.mark.parametrize("file", sorted(SUITES.glob("*.yml")), ids=lambda file: file.stem)
def test_every_shipped_suite_loads(file: Path) -> None:
    suite, cells = load_suite(file)
    assert suite.name == file.stem and cells


def test_versions_has_five_starts_of_each_and_announces_for_those_that_need_it() -> None:
    _, cells = load_suite(find_suite("versions"))
    assert len(cells) == 25
    assert [cell.seed for cell in cells[::5]] == [1, 2, 3, 4, 5]
    for cell in cells[:5]:
        scenario = load_scenario(cell.scenario, cell.scale, cell.settings)
        version = scenario.router["version"]
        assert version in cell.name
        assert {s.announce for s in scenario.senders} == {version in ("0.3.49", "0.3.60", "0.3.67")}


def test_axes_multiply_seeds_take_turns_and_what_is_left_out_is_not_there(tmp_path: Path) -> None:
    _, cells = load_suite(written(tmp_path, SMALL))
    assert [cell.name for cell in cells] == [
        "stress-0.3.60-more-s7", "stress-0.3.75-more-s7", "stress-0.3.75-all-s7",
        "stress-0.3.60-more-s8", "stress-0.3.75-more-s8", "stress-0.3.75-all-s8",
    ]  # fmt: skip
    assert [cell.scale for cell in cells[:3]] == ["quick", "quick", "full"]
    scenario = load_scenario(cells[0].scenario, cells[0].scale, cells[0].settings)
    assert next(phase.seconds for phase in scenario.phases if phase.kind == "hold") == 20
    assert scenario.senders[0].count == 3 and all(sender.announce for sender in scenario.senders)


MISTAKES = [
    ("title: A small suite", "titel: A small suite", "small.yml:2: titel", "known here: name"),
    ("seeds: [7, 8]", "seeds: [7, 7]", "small.yml:7: runs.0.seeds", "twice"),
    ("seeds: [7, 8]", "seeds: []", "small.yml:7: runs.0.seeds", "at least 1"),
    ("seeds: [7, 8]", "seed: 7", "small.yml:7: runs.0.seed", "known here: name, scenario"),
    ("scale: full}", "scael: full}", "small.yml:16: runs.0.axes.1.choices.1.scael", "settings"),
    ("scale: full}", "scale: huge}", "small.yml:4: runs.0", "no scale 'huge'"),
    ("phases.hold.seconds: 20", "phases.hald.seconds: 20", "small.yml:4: runs.0", "no 'hald' here"),
    ("tc-stress-001", "tc-stress-999", "small.yml:4: runs.0", "no scenario 'tc-stress-999'"),
    ("    scenario: tc-stress-001\n", "", "small.yml:4: runs.0", "names no scenario"),
    (
        "{version: 0.3.60, load",
        "{verzion: 0.3.60, load",
        "leave_out.0.verzion",
        "no axis 'verzion'",
    ),
    ("load: all}\n", "load: most}\n", "small.yml:18: runs.0.leave_out.0.load", "no choice"),
    ("seeds: [7, 8]", "seeds: [7, 8]\n    name: other", "small.yml:8: runs.0.name", "twice"),
    (SMALL[SMALL.index("  - name: stress") :], 2 * ENTRY, "small.yml:3: runs", "'stress-s1'"),
]


@pytest.mark.parametrize(("right", "wrong", "where", "what"), MISTAKES)
def test_a_mistake_names_file_line_and_key(
    tmp_path: Path, right: str, wrong: str, where: str, what: str
) -> None:
    assert right in SMALL
    with pytest.raises(BadInput) as caught:
        load_suite(written(tmp_path, SMALL.replace(right, wrong, 1)))
    message = str(caught.value)
    assert where in message and what in message
    assert "\n" not in message


def test_a_suite_of_nothing_is_refused(tmp_path: Path) -> None:
    text = SMALL.replace("{version: 0.3.60, load: all}", "{}")
    with pytest.raises(BadInput, match="everything is left out"):
        load_suite(written(tmp_path, text))
