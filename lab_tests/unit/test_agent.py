"""The agent carries out a plan with real worker processes, and says how each of them ended."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from screamlab.agent import processors, rejoin, unit
from screamlab.agent.context import WorkerContext
from screamlab.agent.supervisor import Agent
from screamlab.agent.workers import end_held_back, run_worker
from screamlab.errors import InfraError
from screamlab.evidence.follow import follow
from screamlab.evidence.spool import Spool, read_lines
from screamlab.scenario.plan import Phase, Plan, Worker, read_plan


def plan_file(folder: Path, duration_s: float, workers: list[Worker]) -> Path:
    plan = Plan(
        run_id="r",
        host="h",
        scenario="s",
        scale="quick",
        seed=1,
        duration_s=duration_s,
        phases=(Phase(name="hold", kind="hold", from_s=0, to_s=duration_s),),
        workers=tuple(workers),
    )
    file = folder / "plan.json"
    file.write_text(plan.model_dump_json())
    return file


def sampler(name: str, to_s: float) -> Worker:
    spec = {"processes": [], "devices": [], "interval_s": 0.2}
    return Worker(name=name, kind="sampler", from_s=0, to_s=to_s, spec=spec)


def start_agent(file: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "screamlab", "agent", str(file), f"--zero={time.time() + 1}"]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def events(folder: Path) -> dict[tuple[str, str], dict[str, object]]:
    lines = read_lines(folder / "events-agent.jsonl")
    return {(record["kind"], record["subject"]): record for record in lines.records}


def test_a_plan_is_carried_out_to_its_end(tmp_path: Path) -> None:
    agent = start_agent(plan_file(tmp_path, 8.0, [sampler("watch", 8.0)]))
    assert agent.wait(60) == 0
    found = events(tmp_path)
    assert found["worker.end", "watch"]["code"] == 0
    assert found["agent.end", "agent"]["reason"] == "completed"
    assert not any(kind == "worker.failed" for kind, _ in found)
    assert (tmp_path / "done").exists()
    assert read_lines(tmp_path / "series-watch.jsonl").records


def test_a_worker_that_cannot_run_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    broken = Worker(name="broken", kind="sender_of_nothing", from_s=0, to_s=2)
    agent = start_agent(plan_file(tmp_path, 2, [broken, sampler("watch", 2)]))
    assert agent.wait(60) == 0
    found = events(tmp_path)
    assert "unknown kind 'sender_of_nothing'" in str(found["worker.failed", "broken"]["error"])
    assert found["worker.end", "watch"]["code"] == 0


def test_a_killed_worker_is_recorded(tmp_path: Path) -> None:
    agent = start_agent(plan_file(tmp_path, 30, [sampler("watch", 30)]))
    for record in follow(tmp_path):
        if record.get("kind") == "worker.start":
            os.kill(record["pid"], signal.SIGKILL)
        if record.get("kind") == "agent.end":
            break
    assert agent.wait(60) == 0
    assert events(tmp_path)["worker.failed", "watch"]["code"] == -signal.SIGKILL


def test_sigterm_ends_the_run_early_and_says_so(tmp_path: Path) -> None:
    agent = start_agent(plan_file(tmp_path, 600, [sampler("watch", 600)]))
    for record in follow(tmp_path):
        if record.get("kind") == "worker.start":
            agent.terminate()
    assert agent.wait(60) == 0
    found = events(tmp_path)
    assert found["agent.end", "agent"]["reason"] == "stopped"
    assert ("worker.end", "watch") in found
    assert ("worker.failed", "watch") not in found


@pytest.mark.parametrize("stopping", [True, False])
def test_a_worker_that_systemd_asked_to_end_with_its_agent_has_not_failed(
    tmp_path: Path, stopping: bool
) -> None:
    file = plan_file(tmp_path, 600, [sampler("watch", 600)])
    agent = Agent(file, time.time())
    item = agent._start(agent.plan.workers[0])
    item.process.terminate()
    item.process.join(20)
    if stopping:
        agent.stopping.set()
    assert agent._ended(item)
    found = events(tmp_path)
    assert found["worker.end", "watch"]["code"] == 0
    assert (("worker.failed", "watch") in found) is not stopping


def test_a_worker_asked_to_end_before_it_can_heed_it_ends(tmp_path: Path) -> None:
    plan = read_plan(plan_file(tmp_path, 600, [sampler("watch", 600)]))
    process = multiprocessing.get_context("fork").Process(
        target=run_worker, args=(plan, plan.workers[0], time.time(), tmp_path)
    )
    # As an agent that is asked to end while the worker is begun.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        with end_held_back():
            process.start()
            process.terminate()
    finally:
        signal.signal(signal.SIGTERM, before)
    process.join(20)
    assert process.exitcode == 0


class Unhurried(WorkerContext):
    """One whose clock goes on by what it sleeps, and by what a test says."""

    passed_s = 0.0

    def now_s(self) -> float:
        return self.passed_s

    def sleep_until(self, at_s: float) -> bool:
        self.passed_s = max(self.passed_s, at_s)
        return True


def test_what_comes_back_every_so_often_leaves_out_what_is_over_and_lasts(tmp_path: Path) -> None:
    spool = Spool(tmp_path, writer="w", host="h")
    context = Unhurried("w", "h", 0.0, 1.0, 10.0, spool, tmp_path)
    begins = []
    for _ in context.every(2.0):
        begins.append(context.now_s())
        context.passed_s += 3.0 if begins == [1.0] else 0.5
    assert begins == [1.0, 5.0, 7.0, 9.0]
    assert context.now_s() == 10.0


def test_a_full_disk_is_refused_with_the_numbers(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", tmp_path], check=True)
    try:
        with pytest.raises(InfraError, match=r"only [01] MiB are free at .*; a run needs 256 MiB"):
            unit.start(tmp_path, "{}", 1000.5, 60)
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_spool_that_was_used_before_is_refused(tmp_path: Path) -> None:
    (tmp_path / "events-agent.jsonl").touch()
    with pytest.raises(InfraError, match="a run of this name has been on this host before"):
        unit.start(tmp_path, "{}", 1000.5, 60)


def test_the_unit_is_limited_and_cleans_up_however_it_ends() -> None:
    command = unit.start_command(Path("/x/plan.json"), "r", 1000.5, 60)
    assert "--unit=screamlab-r.service" in command
    assert "--property=RuntimeMaxSec=120" in command
    assert "--property=WorkingDirectory=/x/cores" in command
    assert "--property=LimitCORE=infinity" in command
    release = f"ExecStopPost={sys.executable} -m screamlab agent /x/plan.json --release"
    assert f"--property={release}" in command
    assert command[-1] == "--zero=1000.5"


def test_a_plan_may_have_its_agent_started_in_an_environment_of_its_own() -> None:
    command = unit.start_command(Path("/x/plan.json"), "r", 0.0, 60, environment={"A": "b"})
    assert "--property=Environment=A=b" in command


def test_after_a_reboot_what_is_left_of_the_plan_is_carried_out(tmp_path: Path) -> None:
    past, rest = sampler("past", 2.0), sampler("rest", 14.0)
    file = plan_file(tmp_path, 14.0, [past, rest])
    command = [sys.executable, "-m", "screamlab", "agent", str(file), "--rejoin"]
    assert subprocess.run([*command, f"--zero={time.time() - 4}"], check=False).returncode == 0
    found = events(tmp_path)
    assert found["agent.start", "agent"]["rejoins"] is True
    assert {subject for kind, subject in found if kind == "worker.start"} == {"rest"}
    assert found["worker.end", "rest"]["code"] == 0
    assert found["agent.end", "agent"]["reason"] == "completed"


def test_the_unit_that_brings_an_agent_back_is_one_systemd_takes(tmp_path: Path) -> None:
    command = unit.start_command(Path("/var/100%/plan.json"), "r1", 12.5, 30.0, "--rejoin")
    rejoin.arm("r1", command, tmp_path)
    file = tmp_path / "screamlab-rejoin-r1.service"
    (link,) = (tmp_path / "default.target.wants").iterdir()
    assert link.resolve() == file
    verify = ["systemd-analyze", "verify", "--man=no", str(file)]
    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and file.name not in done.stderr, done.stderr
    assert "100%%" in file.read_text() and "--zero=12.5 --rejoin" in file.read_text()
    rejoin.disarm("r1", tmp_path)
    rejoin.disarm("r1", tmp_path)
    assert not file.exists() and not any((tmp_path / "default.target.wants").iterdir())


def test_processors_are_held_awake_as_long_as_the_plan_lasts(tmp_path: Path) -> None:
    device = tmp_path / "cpu_dma_latency"
    device.touch()

    def opened() -> bool:
        return str(device) in {file.path for file in psutil.Process().open_files()}

    with processors.held(20, device):
        assert device.read_bytes() == (20).to_bytes(4, sys.byteorder)
        assert opened()
    assert not opened()


def test_a_kernel_that_cannot_hold_processors_awake_is_named_if_it_is_asked_to(
    tmp_path: Path,
) -> None:
    absent = tmp_path / "absent"
    with processors.held(None, absent):
        pass
    with pytest.raises(InfraError, match="absent: No such file"), processors.held(0, absent):
        pass
