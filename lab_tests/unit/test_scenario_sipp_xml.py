"""A sipp scenario of one's own: from the scenario's folder into the plan of the device."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from screamlab.errors import BadInput
from screamlab.inventory import host_from_vars
from screamlab.paths import SCENARIOS
from screamlab.scenario.compile import compile_scenario
from screamlab.scenario.model import load_scenario

XML = '<scenario name="mine"><pause milliseconds="1"/></scenario>'
DATA = {"device": "d", "pool": "198.19.0.32/27"}
HOSTS = [
    host_from_vars(name, [group], {"screamlab_data": {**DATA, "address": f"198.19.0.{n}/24"}})
    for name, group, n in (("router1", "routers", 10), ("client1", "clients", 11))
]


def scenario_file(folder: Path, part: str, **keys: str) -> Path:
    """tc-stress-001 with `keys` added to the first SIP group of `part`."""
    data = yaml.safe_load((SCENARIOS / "tc-stress-001.yml").read_text())
    group = next(g for g in data[part] if g.get("protocol", "sip") == "sip")
    group.update(keys)
    file = folder / "mine.yml"
    file.write_text(yaml.safe_dump(data, sort_keys=False))
    return file


@pytest.mark.parametrize(("part", "name"), [("senders", "sip-call-01"), ("devices", "present-01")])
def test_its_text_is_part_of_the_devices_plan(tmp_path: Path, part: str, name: str) -> None:
    (tmp_path / "own.xml").write_text(XML)
    scenario = load_scenario(scenario_file(tmp_path, part, xml="own.xml"), "quick")
    plans = compile_scenario(scenario, HOSTS, run_id="r", seed=1).plans
    texts = {
        device["name"]: device["scenario_xml"]
        for worker in plans["client1"].workers
        if worker.kind.endswith("_devices")
        for device in worker.spec["devices"]
    }
    group = name.rpartition("-")[0]
    assert texts[name] == XML
    assert {text for one, text in texts.items() if one.rpartition("-")[0] != group} == {None}


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "No such file"), ("<scenario>", "own.xml is no sipp scenario: no element found")],
)
def test_a_file_that_is_none_is_refused_with_its_line(
    tmp_path: Path, content: str | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "own.xml").write_text(content)
    file = scenario_file(tmp_path, "devices", xml="own.xml")
    with pytest.raises(BadInput, match=rf"mine.yml:\d+: devices.0.xml: .*{message}"):
        load_scenario(file, "quick")


def test_a_client_that_plays_no_scenario_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.xml").write_text(XML)
    file = scenario_file(tmp_path, "senders", xml="own.xml", client="baresip")
    with pytest.raises(BadInput, match="a baresip client plays no sipp scenario"):
        load_scenario(file, "quick")
