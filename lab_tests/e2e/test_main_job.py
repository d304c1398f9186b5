"""The main job on real hosts with the real router: run, judge, survive, refuse."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from labs import Lab, run

from screamlab import paths
from screamlab.evidence.bundle import Bundle
from screamlab.judge.view import Run
from screamlab.run.folder import read_record

pytestmark = pytest.mark.e2e


def verdict_of(folder: Path) -> dict[str, Any]:
    verdict = json.loads((folder / "verdict.json").read_text())
    assert isinstance(verdict, dict)
    return verdict


def wait_for(what: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def judged(lab: Lab) -> Path:
    """The folder of one quick tc-stress-001 that ended PASS."""
    return lab.passed("tc-stress-001", "main")


def test_every_stream_is_heard_through_the_router(judged: Path) -> None:
    verdict = verdict_of(judged)
    assert (verdict["schema"], verdict["verdict"]) == (1, "PASS")
    assert verdict["router"] == {"version": "0.3.75", "method": "wheel"}
    heard = {c["subject"]: c["status"] for c in verdict["checks"] if c["id"] == "audio.heard"}
    routes = read_record(judged)["topology"]["routes"]
    with Bundle(judged) as bundle:
        streams = Run(bundle).routed
    assert heard.keys() == {stream.subject for stream in streams}
    # Those who ask for a sink are called otherwise than it.
    assert {(s.receiver.stream.sink or s.receiver.name, s.sender.name) for s in streams} == {
        (route["sink"], route["source"]) for route in routes
    }
    for subject, status in heard.items():
        expected = {"xfail", "xpass"} if "/scream-" in subject else {"pass"}
        assert status in expected, (subject, status)


def test_the_report_is_one_file_that_opens_offline(judged: Path) -> None:
    report = (judged / "report.html").read_text()
    assert not re.search(r"<(script|link|img)[^>]*(src|href)=[\"']?(https?:)?//", report)
    assert (judged / "junit.xml").exists()
    assert (judged / "series.parquet").exists()
    assert (paths.RUNS / "latest").is_symlink()


def test_judging_again_needs_no_lab_and_says_the_same(judged: Path) -> None:
    before = verdict_of(judged)
    done = run([*Lab("gone", 1).screamlab("judge", str(judged))[:3]])
    assert done.returncode == 0
    assert verdict_of(judged) == before


def test_a_second_provisioning_changes_nothing(lab: Lab) -> None:
    for step in ("up", "provision"):
        done = lab.playbook(step)
        assert done.returncode == 0, done.stdout[-3000:]
        changed = re.findall(r"changed=(\d+)", done.stdout)
        assert changed
        assert set(changed) == {"0"}, done.stdout[-6000:]


def test_plans_outlive_the_controller_and_a_later_collect_finds_all(lab: Lab) -> None:
    run_id = f"{lab.name}-orphan"
    folder = paths.RUNS / run_id
    short = ["--set", "phases.ramp.seconds=2", "--set", "phases.hold.seconds=10"]
    controller = subprocess.Popen(
        lab.screamlab("run", "tc-stress-001", "--run-id", run_id, *short),
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )

    def under_way() -> bool:
        zero = read_record(folder)["zero"] if (folder / "run.json").exists() else None
        return zero is not None and time.time() > zero + 1

    wait_for(under_way, 180)
    os.killpg(controller.pid, signal.SIGKILL)
    controller.wait()
    record = read_record(folder)
    wait_for(lambda: time.time() > record["zero"] + record["duration_s"] + 12, 120)
    collected = lab.playbook("collect", "-e", f"run_id={run_id}")
    assert collected.returncode == 0, collected.stdout[-3000:]
    judged_again = run([*lab.screamlab("judge", str(folder))[:3]])
    verdict = verdict_of(folder)
    assert verdict["verdict"] in {"PASS", "INVALID"}, judged_again.stdout[-3000:]
    ended = {c["subject"]: c["status"] for c in verdict["checks"] if c["id"] == "lab.agents"}
    assert set(ended.values()) == {"pass"}, ended


def test_a_run_folder_that_exists_is_refused_and_kept(lab: Lab, judged: Path) -> None:
    before = sorted(judged.iterdir())
    done = run(lab.screamlab("run", "tc-stress-001", "--run-id", judged.name))
    assert done.returncode == 2
    assert "exists already" in done.stderr
    assert sorted(judged.iterdir()) == before


def test_a_router_version_that_does_not_exist_is_one_sentence(lab: Lab) -> None:
    run_id = f"{lab.name}-noversion"
    version = ["--set", "router.version=0.0.999"]
    done = run(lab.screamlab("run", "tc-stress-001", "--run-id", run_id, *version))
    assert done.returncode == 4
    assert "0.0.999" in done.stdout.splitlines()[-1]
    assert verdict_of(paths.RUNS / run_id)["verdict"] == "INFRA"


def test_a_host_that_is_down_is_named(tmp_path: Path) -> None:
    hosts = {
        "all": {
            "vars": {"ansible_user": "root", "ansible_ssh_common_args": "-o ConnectTimeout=2"},
            "children": {
                "routers": {"hosts": {"r1": absent(1)}},
                "clients": {"hosts": {"c1": absent(2)}},
            },
        }
    }
    inventory = tmp_path / "hosts.json"
    inventory.write_text(json.dumps(hosts))
    run_id = f"down-{os.getpid()}"
    done = run([*Lab("", 0).screamlab("run", "tc-stress-001")[:3], "--inventory", inventory,
                "--run-id", run_id])  # fmt: skip
    assert done.returncode == 4
    assert re.search(r"(r1|c1): the host is down", done.stdout.splitlines()[-1])


def absent(number: int) -> dict[str, object]:
    data = {"device": "d0", "address": f"127.9.9.{number}/24", "pool": f"127.9.{number}.0/24"}
    return {"ansible_host": f"127.9.9.{number}", "ansible_port": 1, "screamlab_data": data}
