"""The transient systemd unit an agent runs in, so that nothing it does hangs on a connection."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from screamlab.agent import rejoin
from screamlab.errors import InfraError
from screamlab.impair import marks
from screamlab.scenario.plan import read_plan

# The unit is ended this long after the plan's end, whatever state the agent is in.
RUNTIME_MARGIN_S = 60
# Working directory of the agent, in its run's folder.
CORES = "cores"
# Free space a host must have for its spool before a run starts.
MIN_FREE_MIB = 256


def unit_name(run_id: str) -> str:
    """The agent's unit on every host of a run."""
    return f"screamlab-{run_id}.service"


def start_command(
    plan_file: Path,
    run_id: str,
    zero: float,
    runtime_s: float,
    *options: str,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """The systemd-run(1) command line that starts the agent of a plan, in an `environment`.

    The host is put back as it was by ExecStopPost however the agent ends.
    """
    agent = [sys.executable, "-m", "screamlab", "agent", str(plan_file)]
    properties = [
        # Where the kernel puts the cores of the agent, its workers and their clients.
        f"WorkingDirectory={plan_file.parent / CORES}",
        f"RuntimeMaxSec={runtime_s + RUNTIME_MARGIN_S:.0f}",
        f"ExecStopPost={' '.join([*agent, '--release'])}",
        # A worker's arithmetic is small; BLAS threads would only fight over the host's cores.
        "Environment=OPENBLAS_NUM_THREADS=1",
        *(f"Environment={name}={value}" for name, value in environment.items()),
        "LimitCORE=infinity",
        "LimitNOFILE=65536",
        "TimeoutStopSec=30",
    ]
    return [
        "systemd-run",
        "--quiet",
        "--collect",
        f"--unit={unit_name(run_id)}",
        *(f"--property={item}" for item in properties),
        *agent,
        f"--zero={zero!r}",
        *options,
    ]


def is_active(run_id: str) -> bool:
    """Whether the agent's unit is running on this host."""
    command = ["systemctl", "is-active", "--quiet", unit_name(run_id)]
    return subprocess.run(command, check=False).returncode == 0


def start(folder: Path, plan: str, zero: float, runtime_s: float) -> None:
    """Put the JSON of a plan into the run's `folder`, named after the run, and start its agent.

    It comes back after a reboot of the host, unless the plan breaks the network: that is not done
    again. `InfraError` when the disk is full, systemd refuses, the folder holds another run's
    lines, or the host has not been shown to be clean since its network was last broken.
    """
    if marked := marks.marked():
        raise InfraError(
            f"{', '.join(marked)} is not shown clean since it was last impaired: run "
            "playbooks/heal.yml, or wait until it heals by itself"
        )
    if any(folder.glob("*.jsonl")):
        raise InfraError(f"{folder}: a run of this name has been on this host before")
    plan_file = folder / "plan.json"
    try:
        (folder / CORES).mkdir(parents=True, exist_ok=True)
        plan_file.write_text(plan)
    except OSError as error:
        raise InfraError(f"{plan_file}: {error.strerror}") from error
    free_mib = shutil.disk_usage(folder).free >> 20
    if free_mib < MIN_FREE_MIB:
        raise InfraError(
            f"only {free_mib} MiB are free at {folder}; a run needs {MIN_FREE_MIB} MiB"
        )
    asked, told = (plan_file, folder.name, zero, runtime_s), read_plan(plan_file)
    if not told.impairments:
        rejoin.arm(folder.name, start_command(*asked, "--rejoin"))
    _systemd(start_command(*asked, environment=told.environment))


def stop(unit: str) -> None:
    """Stop an agent's unit and wait until it is gone; what its plan changed is undone."""
    _systemd(["systemctl", "stop", unit])


def impairing(runs: Path) -> list[str]:
    """The units of the agents that are at work on plans that break the network."""
    return [
        unit_name(plan.parent.name)
        for plan in runs.glob("*/plan.json")
        if is_active(plan.parent.name) and read_plan(plan).impairments
    ]


def _systemd(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InfraError(f"{command[0]}: {done.stderr.strip() or f'exit {done.returncode}'}")
