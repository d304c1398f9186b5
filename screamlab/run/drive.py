"""Drive the playbooks through ansible-runner, show progress, and come back with the verdict."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ansible_runner
from rich.console import Console

from screamlab.errors import BadInput, InfraError
from screamlab.paths import CHECKOUT
from screamlab.run.channel import follow_hosts
from screamlab.run.folder import read_record, write_infra
from screamlab.run.progress import Progress, show

CLOCK_TASK = "Start the run's clock"


@dataclass
class Playbook:
    """One run of one playbook: its events in, its failures out."""

    inventory: Path
    variables: Mapping[str, Any]
    log: Path | None = None
    failures: list[str] = field(default_factory=list)

    def run(self, playbook: str, progress: Progress | None = None, on_clock: Any = None) -> bool:
        """Run ``playbooks/<playbook>.yml`` to its end; whether it succeeded."""

        def handle(event: Mapping[str, Any]) -> bool:
            self._handle(event, progress)
            task = event.get("event_data", {}).get("task")
            if on_clock and event.get("event") == "runner_on_ok" and task == CLOCK_TASK:
                on_clock()
            return False

        with tempfile.TemporaryDirectory(prefix="screamlab-") as private:
            result = ansible_runner.run(
                private_data_dir=private,
                project_dir=str(CHECKOUT),
                playbook=f"playbooks/{playbook}.yml",
                inventory=str(self.inventory.resolve()),
                extravars=dict(self.variables),
                envvars={
                    "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
                    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                },
                event_handler=handle,
                quiet=True,
            )
        return bool(result.rc == 0)

    def _handle(self, event: Mapping[str, Any], progress: Progress | None) -> None:
        kind, data = event.get("event"), event.get("event_data", {})
        if self.log and event.get("stdout"):
            with self.log.open("a") as log:
                log.write(event["stdout"] + "\n")
        if kind == "playbook_on_play_start" and progress:
            progress.step, progress.task = str(data.get("name")), ""
        elif kind == "playbook_on_task_start" and progress:
            progress.task = str(data.get("name"))
        elif kind == "runner_on_unreachable":
            self.failures.append(f"{data.get('host')}: the host is down: {_reason(data)}")
        elif kind == "runner_on_failed" and not data.get("ignore_errors"):
            host = "" if data.get("host") == "localhost" else f"{data.get('host')}: "
            self.failures.append(f"{host}{_reason(data)}")


def drive(
    run_id: str, inventory: Path, runs: Path, variables: Mapping[str, Any], console: Console
) -> Path:
    """Run the main job for a scenario; returns the run folder, judged or with its failure noted.

    Raises `BadInput` when the request itself was refused before any host was touched.
    """
    folder = runs / run_id
    progress, over = Progress(run_id), threading.Event()
    display = threading.Thread(target=show, args=(progress, over, console))
    display.start()

    def on_clock() -> None:
        progress.record = read_record(folder)
        follow_hosts(progress.record, progress, over)

    job = Playbook(inventory, variables, _log_file(runs, run_id))
    try:
        succeeded = job.run("site", progress, on_clock)
    finally:
        over.set()
        display.join()
    if not folder.exists():
        raise BadInput(_first(job.failures))
    assert job.log
    job.log.replace(folder / "ansible.log")
    if not succeeded and not (folder / "verdict.json").exists():
        _note_failure(folder, job, inventory, variables)
    return folder


def _note_failure(
    folder: Path, job: Playbook, inventory: Path, variables: Mapping[str, Any]
) -> None:
    """Write down why the job broke off, after collecting what the hosts already have."""
    if read_record(folder)["zero"] is not None:
        Playbook(inventory, {**variables, "run_id": folder.name}).run("collect")
    write_infra(folder, _first(job.failures))


def take_down(inventory: Path, variables: Mapping[str, Any]) -> None:
    """Take the local lab down; `InfraError` says what would not go."""
    job = Playbook(inventory, variables)
    if not job.run("down"):
        raise InfraError(f"the lab could not be taken down: {_first(job.failures)}")


def _reason(data: Mapping[str, Any]) -> str:
    """Why a task failed, on one line."""
    result = data.get("res", {})
    reason = str(result.get("msg") or result.get("stderr") or "it failed without saying why")
    return " ".join(reason.split())


def _first(failures: Sequence[str]) -> str:
    return failures[0] if failures else "ansible-playbook failed without saying why"


def _log_file(runs: Path, run_id: str) -> Path:
    runs.mkdir(parents=True, exist_ok=True)
    return runs / f".{run_id}.log"
