"""The modules of the role memcheck: change, check, idempotent, and what they refuse."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from screamlab.inventory import host_from_vars
from screamlab.paths import SCENARIOS
from screamlab.run.folder import Request, plan_run
from screamlab.run.record import read_record

Call = Callable[..., dict[str, Any]]

# Stands in for systemctl(1) of a unit whose main process is $MAIN_PID.
SYSTEMCTL = """#!/bin/sh
case "$1" in
  show) kill -0 $MAIN_PID 2>/dev/null && echo $MAIN_PID || echo 0 ;;
  stop) kill -s INT $MAIN_PID ;;
esac
"""


def end_by_interrupt() -> None:
    """Have SIGINT end this process."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def router(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """The main process of a unit."""
    # In the background of a shell that has no terminal, SIGINT is ignored.
    with subprocess.Popen(["sleep", "60"], preexec_fn=end_by_interrupt) as process:
        (tmp_path / "systemctl").write_text(SYSTEMCTL)
        (tmp_path / "systemctl").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("MAIN_PID", str(process.pid))
        yield process
        process.kill()


def test_run_slowdown(call: Call, tmp_path: Path) -> None:
    data = {"device": "d", "address": "198.19.0.10/24", "pool": "198.19.0.128/25"}
    hosts = [
        host_from_vars(name, [f"{name}s"], {"screamlab_data": data})
        for name in ("router", "client")
    ]
    file = SCENARIOS / "tc-stability-001.yml"
    plan_run(Request(file, "quick", run_id="one"), hosts, tmp_path)
    asked = {"folder": tmp_path / "one", "measured": {"factor": 30.0}}
    assert call("run_slowdown", check=True, **asked)["changed"]
    assert "slowdown" not in read_record(tmp_path / "one")
    assert call("run_slowdown", **asked)["changed"]
    again = call("run_slowdown", **asked | {"measured": {"factor": 9.0}})
    assert (again["changed"], again["factor"]) == (False, 30.0)
    assert not call("run_slowdown", check=True, **asked)["changed"]
    plan_run(Request(SCENARIOS / "null-path.yml", "quick", run_id="two"), hosts, tmp_path)
    refused = call("run_slowdown", folder=tmp_path / "two", measured={"factor": 2.0})
    assert "under no tool" in refused["msg"]


def test_memcheck_slowdown(call: Call) -> None:
    found = call("memcheck_slowdown", wrapper=["/usr/bin/env"])
    assert not found["changed"] and 1 <= found["factor"] < 3
    assert (
        "/nonexistent: No such file" in call("memcheck_slowdown", wrapper=["/nonexistent"])["msg"]
    )


def test_memcheck_stop(call: Call, router: subprocess.Popen[bytes], tmp_path: Path) -> None:
    foretold = call("memcheck_stop", check=True, folder=tmp_path)
    assert (foretold["changed"], foretold["pid"]) == (True, router.pid)
    assert router.poll() is None
    done = call("memcheck_stop", folder=tmp_path)
    assert (done["changed"], done["ended_by"], done["files"]) == (True, "SIGINT", [])
    assert router.wait() in (0, -signal.SIGINT)
    again = call("memcheck_stop", folder=tmp_path)
    assert (again["changed"], again["pid"]) == (False, 0)
    assert not call("memcheck_stop", check=True, folder=tmp_path)["changed"]
