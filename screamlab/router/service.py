"""The router as a systemd unit."""

from __future__ import annotations

import subprocess
from pathlib import Path

import psutil

from screamlab.errors import InfraError


class SystemdService:
    """A unit of the system manager, asked through systemctl(1)."""

    def __init__(self, unit: str) -> None:
        self.unit = unit

    def pid(self) -> int | None:
        """The unit's main process, None when it does not run."""
        return int(self._show("MainPID") or 0) or None

    def invocation(self) -> str:
        """systemd's InvocationID: another one after every start."""
        return self._show("InvocationID")

    def restart(self) -> None:
        """Restart the unit and wait until systemd calls it started."""
        _systemctl("restart", self.unit)

    def ask_to_stop(self) -> None:
        """Have the unit stopped, and do not wait for it."""
        _systemctl("stop", "--no-block", self.unit)

    def is_running(self) -> bool:
        """Whether it is not at rest yet."""
        return self._show("ActiveState") not in ("inactive", "failed")

    def result(self) -> str:
        """How it ended, systemd.exec(5), $SERVICE_RESULT: `success`, `timeout`, `core-dump` …"""
        return self._show("Result")

    def _show(self, name: str) -> str:
        return _systemctl("show", f"--property={name}", "--value", self.unit).strip()


def running_version(pid: int) -> str | None:
    """The release of ScreamRouter that a process runs, asked of its own Python; None if unknown."""
    ask = "from importlib.metadata import version; print(version('screamrouter'))"
    try:
        words = psutil.Process(pid).cmdline()
        # A tool that it runs under has its own words before.
        python = next(word for word in words if Path(word).name.startswith("python"))
        done = subprocess.run(
            [python, "-c", ask], capture_output=True, text=True, check=False, timeout=30
        )
    except (psutil.Error, OSError, StopIteration, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def _systemctl(*arguments: str) -> str:
    done = subprocess.run(["systemctl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        reason = done.stderr.strip().splitlines()
        said = reason[0] if reason else f"exit status {done.returncode}"
        raise InfraError(f"systemctl {' '.join(arguments)}: {said}")
    return done.stdout
