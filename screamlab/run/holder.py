"""Who holds the hosts of a lab: the playbook's process, named so that its end can be seen.

A process is known by its PID only within one boot and one PID namespace (pid_namespaces(7)):
execution environments of AWX are containers on one kernel, and do not see each other's processes.
"""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

_PROGRAM = "ansible-playbook"


def this_holder(run_id: str = "") -> dict[str, Any]:
    """This playbook as a holder; called in its process or one below it.

    Its token is the run it works for, which any controller can name, or else its own process.
    """
    process, user, controller = _playbook(), getpass.getuser(), socket.gethostname()
    return {
        "token": run_id or f"{user}@{controller}:{process.pid}",
        "run_id": run_id,
        "user": user,
        "controller": controller,
        "pid": process.pid,
        "began": round(process.create_time(), 2),
        **_place(),
    }


def is_gone(holder: Mapping[str, Any]) -> bool:
    """Whether the process of a holder has ended; False where that cannot be seen from here."""
    if any(holder.get(key) != value for key, value in _place().items()):
        return False
    try:
        process = psutil.Process(int(holder["pid"]))
        # Another process may have the number by now.
        return abs(process.create_time() - float(holder["began"])) > 1
    except (psutil.NoSuchProcess, KeyError, ValueError):
        return True


def _place() -> dict[str, str]:
    """Where PIDs mean the same."""
    return {
        "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "pid_namespace": os.readlink("/proc/self/ns/pid"),
    }


def _playbook() -> psutil.Process:
    """The playbook that this process works for, or this process where there is none.

    A playbook's workers are its forks and look like it; the outermost is the one that stays.
    """
    parents = psutil.Process().parents()
    playbooks = [p for p in parents if any(_PROGRAM in part for part in p.cmdline())]
    return playbooks[-1] if playbooks else psutil.Process()
