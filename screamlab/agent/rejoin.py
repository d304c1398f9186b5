"""What brings an agent back after its host has rebooted in the middle of a run.

A transient unit is gone after a reboot. So a small unit of the host's own, there only while the
run lasts, starts it again at boot; the agent then carries out what is left of its plan.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

UNITS = Path("/etc/systemd/system")

_UNIT = """\
[Unit]
Description=The agent of run {run_id} goes on after a reboot
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart={command}
"""


def arm(run_id: str, command: Sequence[str], units: Path = UNITS) -> None:
    """Have `command` run at every boot of this host until `disarm`."""
    unit, link = _paths(run_id, units)
    # "%" begins a specifier, systemd.unit(5).
    text = _UNIT.format(run_id=run_id, command=shlex.join(command).replace("%", "%%"))
    link.parent.mkdir(parents=True, exist_ok=True)
    unit.write_text(text)
    link.unlink(missing_ok=True)
    link.symlink_to(unit)


def disarm(run_id: str, units: Path = UNITS) -> None:
    """Leave nothing of it; safe to repeat."""
    for path in reversed(_paths(run_id, units)):
        path.unlink(missing_ok=True)


def host_goes_down() -> bool:
    """Whether the host is about to halt or to reboot, so that what stops is not over."""
    command = ["systemctl", "is-system-running"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return False
    return done.stdout.strip() == "stopping"


def _paths(run_id: str, units: Path) -> tuple[Path, Path]:
    name = f"screamlab-rejoin-{run_id}.service"
    return units / name, units / "default.target.wants" / name
