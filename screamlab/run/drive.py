"""Drive the playbooks through ansible-runner, show progress, and come back with the verdict."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ansible_runner
import psutil
from rich.console import Console

from screamlab.errors import BadInput, InfraError
from screamlab.evidence.bundle import VERDICT_FILE
from screamlab.paths import CHECKOUT
from screamlab.run.channel import follow_hosts
from screamlab.run.progress import Progress, showing
from screamlab.run.record import INFRA_FILE, read_record, write_infra

# Called with the module, the host and the result of every task that succeeded.
OnOk = Callable[[str, str, Mapping[str, Any]], None]


@dataclass
class Playbook:
    """One run of one playbook: its events in, its failures out.

    `refused` when somebody else has a host of the lab.
    """

    inventory: Path
    variables: Mapping[str, Any]
    log: Path | None = None
    failures: list[str] = field(default_factory=list)
    refused: bool = False

    def run(
        self, playbook: str, progress: Progress | None = None, on_ok: OnOk | None = None
    ) -> bool:
        """Run ``playbooks/<playbook>.yml`` to its end; whether it succeeded.

        Raises `KeyboardInterrupt` when it was ended by a signal to this process.
        """

        def handle(event: Mapping[str, Any]) -> bool:
            self._handle(event, progress)
            data = event.get("event_data", {})
            if on_ok and event.get("event") == "runner_on_ok":
                on_ok(str(data.get("task_action")), str(data.get("host")), data.get("res", {}))
            return False

        with tempfile.TemporaryDirectory(prefix="screamlab-") as private, _signals_kept():
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
            if result.status == "canceled":
                _end_workers(private)
                raise KeyboardInterrupt
        return bool(result.rc == 0)

    @property
    def first_failure(self) -> str:
        """Why it failed, in one sentence."""
        return self.failures[0] if self.failures else "ansible-playbook failed without saying why"

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
            self.refused |= data.get("role") == "lab_lock"


def drive(
    run_id: str, inventory: Path, runs: Path, variables: Mapping[str, Any], console: Console
) -> Path:
    """Run the main job for a scenario; returns the run folder, judged or with its failure noted.

    Raises `BadInput` when the request itself was refused before any host was touched.
    """
    folder = runs / run_id

    def on_ok(module: str, _host: str, _result: Mapping[str, Any]) -> None:
        if module == "run_clock":
            _follow(folder, progress)

    job = Playbook(inventory, variables, _log_file(runs, run_id))
    with showing(run_id, console) as progress:
        succeeded = job.run("site", progress, on_ok)
    if not folder.exists():
        raise BadInput(job.first_failure)
    _end(folder, job, succeeded)
    return folder


def attach(folder: Path, inventory: Path, variables: Mapping[str, Any], console: Console) -> None:
    """Take up a run again whose controller is gone: wait for its end, collect and judge it.

    Raises `BadInput` when the folder is no run, or the run was never started.
    """
    if read_record(folder)["zero"] is None:
        raise BadInput(f"{folder}: this run was planned and never started")
    # What an earlier controller made of it is made anew.
    for name in (INFRA_FILE, VERDICT_FILE):
        (folder / name).unlink(missing_ok=True)
    variables = {**variables, "run_id": folder.name}
    job = Playbook(inventory, variables, _log_file(folder.parent, folder.name))
    with showing(folder.name, console) as progress:
        _follow(folder, progress)
        succeeded = job.run("attach", progress)
    _end(folder, job, succeeded)


def _follow(folder: Path, progress: Progress) -> None:
    progress.record = read_record(folder)
    follow_hosts(progress.record, progress)


def _end(folder: Path, job: Playbook, succeeded: bool) -> None:
    """Keep the job's log, after that of an earlier controller, and say why it broke off if so."""
    assert job.log
    with (folder / "ansible.log").open("a") as log:
        log.write(job.log.read_text())
    job.log.unlink()
    if not succeeded and not (folder / VERDICT_FILE).exists():
        _note_failure(folder, job)


def _note_failure(folder: Path, job: Playbook) -> None:
    """Write down why the job broke off, after collecting what the hosts have and freeing them."""
    begun = read_record(folder)["zero"] is not None
    last = "collect" if begun else "unlock"
    Playbook(job.inventory, {**job.variables, "run_id": folder.name}).run(last)
    write_infra(folder, job.first_failure, refused=job.refused)


def take_down(inventory: Path, variables: Mapping[str, Any]) -> None:
    """Take the local lab down; `InfraError` says what would not go."""
    job = Playbook(inventory, variables)
    if not job.run("down"):
        raise InfraError(f"the lab could not be taken down: {job.first_failure}")


def _end_workers(private: str) -> None:
    """End what outlives its playbook: Ansible's workers have sessions of their own."""
    for worker in psutil.process_iter(["cmdline"]):
        if any(private in word for word in worker.info["cmdline"] or ()):
            for process in (*worker.children(recursive=True), worker):
                with suppress(psutil.NoSuchProcess):
                    process.kill()


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Undo that ansible-runner takes the signals for itself and keeps them when it is done."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _reason(data: Mapping[str, Any]) -> str:
    """Why a task failed, on one line."""
    result = data.get("res", {})
    reason = str(result.get("msg") or result.get("stderr") or "it failed without saying why")
    return " ".join(reason.split())


def _log_file(runs: Path, run_id: str) -> Path:
    runs.mkdir(parents=True, exist_ok=True)
    return runs / f".{run_id}.log"
