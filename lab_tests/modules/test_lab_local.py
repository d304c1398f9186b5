"""The module lab_local with one real host: change, check with diff, no change, and absence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from screamlab.paths import CHECKOUT

pytestmark = pytest.mark.e2e

NUMBER = 200
NAME = f"m{os.getpid()}"


CLIENT = {
    "name": "client1",
    "management": f"198.18.{NUMBER}.11/24",
    "data": f"198.19.{NUMBER}.11/24",
}
WAN = {
    "name": "wan",
    "management": f"198.18.{NUMBER}.2/24",
    "data": f"198.19.{NUMBER}.1/24",
    "kind": "uml",
}


def module(state: str, *, check: bool = False, **changed: Any) -> dict[str, Any]:
    """Run the module as Ansible does; return what it answered."""
    asked = {"name": NAME, "subnet": NUMBER, "state": state, "disk_mib": 256, "hosts": [CLIENT]}
    given = {**asked, **changed, "_ansible_check_mode": check, "_ansible_diff": True}
    done = subprocess.run(
        [sys.executable, "library/lab_local.py"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": given}),
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
    )
    assert done.stdout, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module", autouse=True)
def afterwards_gone() -> Iterator[None]:
    if os.geteuid() != 0:
        pytest.skip("hosts in namespaces need root")
    yield
    module("absent")


def lab_there() -> bool:
    return Path(f"/run/netns/{NAME}-wan").exists() or Path("/var/lib/screamlab/labs", NAME).exists()


def test_check_mode_says_what_would_be_done_and_does_nothing() -> None:
    answer = module("present", check=True)
    assert answer["changed"]
    assert "start host client1: it is new" in answer["diff"]["prepared"].splitlines()
    assert not lab_there()


def test_present_then_nothing_to_do() -> None:
    assert module("present")["changed"]
    assert Path(f"/run/netns/{NAME}-wan").exists()
    again = module("present")
    assert (again["changed"], again["steps"]) == (False, [])
    checked = module("present", check=True)
    assert (checked["changed"], checked["diff"]["prepared"]) == (False, "")


def test_other_settings_start_the_host_again() -> None:
    assert module("present", check=True, disk_mib=300)["steps"] == [
        "start host client1: it runs with other settings"
    ]


def test_a_host_that_is_no_longer_asked_for_goes() -> None:
    answer = module("present", check=True, hosts=[])
    assert answer["steps"] == ["remove host client1", "write the lab's record"]


def test_a_host_in_the_middle_starts_no_other_host_again() -> None:
    steps = module("present", check=True, hosts=[CLIENT, WAN])["steps"]
    assert [step for step in steps if step.startswith("start ")] == ["start host wan: it is new"]
    assert f"ip -n {NAME}-wan link set client1 master br-client1" in steps


def test_only_the_middle_has_a_kernel_of_its_own() -> None:
    answer = module("present", check=True, hosts=[{**CLIENT, "kind": "uml"}])
    assert answer["failed"]
    assert answer["msg"].startswith("host client1: kind uml:")


def test_a_subnet_in_use_is_refused() -> None:
    answer = module("present", name=f"{NAME}x")
    assert answer["failed"]
    assert f"198.18.{NUMBER}.0/24 is on sl{NUMBER}" in answer["msg"]


def test_absent_then_nothing_to_do() -> None:
    checked = module("absent", check=True)
    assert checked["changed"]
    assert "remove host client1" in checked["diff"]["prepared"].splitlines()
    assert lab_there()
    assert module("absent")["changed"]
    assert not lab_there()
    assert not module("absent")["changed"]
    assert not module("absent", check=True)["changed"]
