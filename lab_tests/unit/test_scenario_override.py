"""One value of a scenario from the command line: where a key may lead, and where not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from screamlab.errors import BadInput
from screamlab.scenario.override import override
from screamlab.scenario.yaml_lines import Source

FILE = """
router: {version: 1.0.0}
phases: [{name: hold, seconds: {quick: 5, full: 60}}, {name: drain, seconds: 6}]
checks: [{id: lab.pacing, max_p99_ms: 5}, {id: churn.leak}, {id: churn.leak, scales: [full]}]
"""


def after(setting: str) -> Any:
    source = Source(Path("x.yml"), yaml.safe_load(FILE))
    override(source, setting)
    return source.data


@pytest.mark.parametrize(
    ("setting", "found"),
    [
        ("router.version=0.3.73", lambda data: data["router"]["version"] == "0.3.73"),
        ("phases.hold.seconds=7", lambda data: data["phases"][0]["seconds"] == 7),
        ("phases.hold.seconds.full=7", lambda data: data["phases"][0]["seconds"]["full"] == 7),
        ("phases.*.seconds=7", lambda data: [p["seconds"] for p in data["phases"]] == [7, 7]),
        ("checks.lab.pacing.max_p99_ms=20", lambda data: data["checks"][0]["max_p99_ms"] == 20),
        (
            "checks.churn.leak.x=1",
            lambda data: [c.get("x") for c in data["checks"]] == [None, 1, 1],
        ),
        ("watch.capture={hosts: all}", lambda data: data["watch"] == {"capture": {"hosts": "all"}}),
    ],
)
def test_one_value_is_changed(setting: str, found: Any) -> None:
    assert found(after(setting))


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("phases", "expected key=value"),
        ("phases.hold.seconds={", "not valid YAML"),
        ("phases.soak.seconds=7", "no 'soak' here, only hold, drain"),
        ("checks.lab.max_p99_ms=7", "no 'lab' here, only lab.pacing, churn.leak"),
        ("phases.hold=7", "'hold' names a whole list item"),
        ("phases.drain.seconds.full=7", "'full' is below a plain value"),
    ],
)
def test_a_key_that_leads_nowhere_is_one_sentence(setting: str, told: str) -> None:
    with pytest.raises(BadInput) as caught:
        after(setting)
    assert str(caught.value).startswith(f"--set {setting}: ")
    assert told in str(caught.value)
