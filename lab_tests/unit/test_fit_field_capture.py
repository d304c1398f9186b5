"""The measurement of a real path: what it refuses before any host is touched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from screamlab.paths import CHECKOUT

ROLE = CHECKOUT / "roles" / "field_capture"


@pytest.mark.parametrize("words", [[], ["-e", "field_capture_from=a", "-e", "field_capture_to=c"]])
def test_two_hosts_of_the_inventory_must_be_named(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "hosts.yml").write_text("all: {hosts: {a: {}, b: {}}}\n")
    program = Path(sys.executable).with_name("ansible-playbook")
    command = [str(program), "-i", str(tmp_path), "playbooks/field_capture.yml", *words]
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    assert "give two hosts of the inventory" in done.stdout
    assert "PLAY [Far end]" not in done.stdout


def test_every_default_is_an_option() -> None:
    specs = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    defaults = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
    options = specs["main"]["options"]
    required = {name for name, option in options.items() if option.get("required")}
    assert set(defaults) == options.keys() - required
    assert options["field_capture_method"]["choices"] == ["irtt", "ping", "auto"]
