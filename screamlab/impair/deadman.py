"""The dead man of a device: heals it at a fixed time, whatever else has died by then.

Under systemd it is a transient timer, which no control group of ours takes along; elsewhere a
detached shell that sleeps. Both run `screamlab.impair.heal_script` until it finds the device clean.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from pathlib import Path

from screamlab.errors import InfraError
from screamlab.impair import heal_script

NAME = "screamlab-deadman"
_RETRY_S = 5
_LOOK_S = 0.01
_SUPERVISOR = f'sleep "$2"; shift 2; until "$@"; do sleep {_RETRY_S}; done'


def arm(device: str, after_s: float) -> str:
    """Have `device` healed in `after_s` seconds; return by whom.

    A dead man that is there already is relieved once the new one stands. `InfraError` when none
    can be had.
    """
    old = watching(device)
    name = (_arm_timer if _systemd_runs() else _arm_supervisor)(device, after_s)
    _relieve(old)
    return name


def disarm(device: str) -> None:
    """Send the dead men of a device home; only for one that was seen to be clean."""
    _relieve(watching(device))


def watching(device: str) -> list[str]:
    """The dead men of a device: names of timers, or ``pid:<number>``."""
    return [watcher for name, watcher in watchers() if name == device]


def watchers() -> list[tuple[str, str]]:
    """The dead men of this host, each after the device it watches."""
    found = [(words[1], f"pid:{pid}") for pid, words in _supervisors()]
    if _systemd_runs():
        listing = _systemctl("list-units", "--all", "--plain", "--no-legend", f"{NAME}-*.timer")
        units = [line.split()[0] for line in listing.splitlines()]
        found += [(_device_of(unit), unit) for unit in units]
    return found


def _arm_timer(device: str, after_s: float) -> str:
    unit = f"{NAME}-{_escaped(device)}-{time.time_ns():x}"
    command = [
        "systemd-run",
        "--quiet",
        "--collect",
        f"--unit={unit}",
        f"--on-active={after_s:.3f}s",
        "--timer-property=AccuracySec=100ms",
        "--property=Restart=on-failure",
        f"--property=RestartSec={_RETRY_S}s",
        "--property=StartLimitIntervalSec=0",
        *heal_script.command(device),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise InfraError(f"no dead man for {device}: systemd-run: {done.stderr.strip()}")
    if _systemctl("show", "--property=ActiveState", "--value", f"{unit}.timer").strip() != "active":
        raise InfraError(f"no dead man for {device}: {unit}.timer is not active")
    return f"{unit}.timer"


def _arm_supervisor(device: str, after_s: float) -> str:
    command = ["/bin/sh", "-c", _SUPERVISOR, NAME, device, f"{after_s:.3f}"]
    process = subprocess.Popen(
        [*command, *heal_script.command(device)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )
    # Popen returns before the kernel shows the new program's words, by which a dead man is known.
    while process.poll() is None and process.pid not in {pid for pid, _ in _supervisors()}:
        time.sleep(_LOOK_S)
    return f"pid:{process.pid}"


def _relieve(names: list[str]) -> None:
    timers = [name for name in names if not name.startswith("pid:")]
    if timers:
        _systemctl("stop", *timers)
    alive = {pid for pid, _ in _supervisors()}
    for pid in (int(name[4:]) for name in names if name.startswith("pid:")):
        if pid in alive:
            # Its sleep goes with it. One that healed meanwhile is home already.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)


def _supervisors() -> list[tuple[int, list[str]]]:
    """Process ids of detached dead men, with their words from `NAME` on.

    Each leads a session. What it forks has its words, too, until it is another program.
    """
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        pid = int(file.parent.name)
        try:
            words = file.read_bytes().decode(errors="replace").split("\0")
            if words[1:4] == ["-c", _SUPERVISOR, NAME] and os.getsid(pid) == pid:
                found.append((pid, words[3:]))
        except OSError:
            continue  # it ended meanwhile
    return found


def _systemd_runs() -> bool:
    """As sd_booted(3) tells."""
    return Path("/run/systemd/system").is_dir()


def _systemctl(*words: str) -> str:
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True)
    if done.returncode:
        raise InfraError(f"systemctl {words[0]}: {done.stderr.strip()}")
    return done.stdout


def _escaped(device: str) -> str:
    """A device's name in letters, digits and underscores, and no other device's."""
    return "".join(c if c.isascii() and c.isalnum() else f"_{ord(c):x}_" for c in device)


def _device_of(unit: str) -> str:
    escaped = unit.removeprefix(f"{NAME}-").rpartition("-")[0]
    return re.sub(r"_([0-9a-f]+)_", lambda code: chr(int(code[1], 16)), escaped)
