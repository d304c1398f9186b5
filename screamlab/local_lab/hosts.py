"""Start, look at and stop the hosts of a lab, each through its supervisor."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from screamlab.errors import InfraError
from screamlab.local_lab import cgroup, shares
from screamlab.local_lab.model import Host, HostSpec, Place

_SSH_PORT = 22
_CONNECT_S = 0.25
_PATIENCE_S = 5.0
_START_TIMEOUT_S = 10.0
_STOP_TIMEOUT_S = 10.0
_POLL_S = 0.05
_T = TypeVar("_T")


def supervisor_pid(place: Place) -> int | None:
    """The process id of the host's supervisor, None when it does not live."""
    try:
        with place.lock.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None
    except FileNotFoundError:
        return None
    except BlockingIOError:
        return _wait_for(lambda: _read_pid(place.lock), _STOP_TIMEOUT_S)


def answers(address: str, timeout_s: float) -> bool:
    """Whether an SSH server greets at that address within the time (RFC 4253, section 4.2).

    One that accepts has the rest of the time to greet: every connection costs it a process.
    """
    deadline = time.monotonic() + timeout_s
    while (left := deadline - time.monotonic()) > 0:
        try:
            with socket.create_connection((address, _SSH_PORT), min(left, _CONNECT_S)) as peer:
                peer.settimeout(max(0.1, deadline - time.monotonic()))
                if peer.recv(4) == b"SSH-":
                    return True
        except OSError:
            time.sleep(_POLL_S)
    return False


def start(spec: HostSpec) -> None:
    """Start the host's supervisor, detached from this process; it answers some time later."""
    place = spec.place
    place.folder.mkdir(parents=True, exist_ok=True)
    place.spec.write_text(spec.to_json())
    supervisor = [
        *("unshare", "--mount", "--propagation", "slave", "--"),
        *(sys.executable, "-P", "-m", "screamlab.local_lab.supervisor", str(place.spec)),
    ]
    if machine_runs_systemd():
        _run([*_as_unit(spec), *supervisor])
        return
    shares.give(spec)
    with place.console.open("ab") as console:
        subprocess.Popen(
            [*supervisor, place.cgroup],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            cwd="/",
            start_new_session=True,
        )


def wait_until_up(hosts: Sequence[tuple[Host, Place]], timeout_s: float) -> None:
    """Wait for every host's SSH server; `InfraError` names those that did not come up."""
    deadline = time.monotonic() + timeout_s

    def comes_up(entry: tuple[Host, Place]) -> bool:
        host, place = entry
        begun_by = time.monotonic() + _START_TIMEOUT_S
        lived = False
        while time.monotonic() < deadline:
            if answers(host.address, _PATIENCE_S):
                return True
            lives = supervisor_pid(place) is not None
            if not lives and (lived or time.monotonic() > begun_by):
                return False
            lived = lives
        return False

    with ThreadPoolExecutor(max_workers=max(1, len(hosts))) as pool:
        results = list(pool.map(comes_up, hosts))
    failed = [place for (_, place), good in zip(hosts, results, strict=True) if not good]
    if failed:
        said = "; ".join(f"{place.host}: {_last_words(place)}" for place in failed)
        raise InfraError(f"hosts that do not answer after {timeout_s:g} s: {said}")


def stop(places: Collection[Place]) -> None:
    """Switch hosts off, whatever is left of them."""
    for place in places:
        if pid := supervisor_pid(place):
            _signal(pid, signal.SIGTERM)
    for place in places:
        if not _wait_for(partial(_is_dead, place), _STOP_TIMEOUT_S):
            _signal(supervisor_pid(place), signal.SIGKILL)
        if machine_runs_systemd():
            subprocess.run(["systemctl", "stop", place.unit], capture_output=True)
        else:
            group = cgroup.named(place.cgroup)
            group.kill()
            group.remove()


def _is_dead(place: Place) -> bool:
    return supervisor_pid(place) is None


def leftovers(place: Place) -> bool:
    """Whether something of a host is there that only its supervisor should have made."""
    return not machine_runs_systemd() and cgroup.named(place.cgroup).exists()


def machine_runs_systemd() -> bool:
    """Whether pid 1 is systemd, see sd_booted(3)."""
    return Path("/run/systemd/system").is_dir()


def _as_unit(spec: HostSpec) -> list[str]:
    place = spec.place
    log = f"append:{place.console}"
    properties = {
        "CPUWeight": str(shares.WEIGHT[spec.host.kind]),
        "Delegate": "yes",
        "KillMode": "mixed",
        "TimeoutStopSec": f"{_STOP_TIMEOUT_S:g}",
        "LimitCORE": "infinity",
        "LimitMEMLOCK": "infinity",
        "TasksMax": "infinity",
        "StandardOutput": log,
        "StandardError": log,
    }
    return [
        *("systemd-run", "--quiet", "--collect", "--service-type=exec", f"--unit={place.unit}"),
        *(f"--property={key}={value}" for key, value in properties.items()),
        "--",
    ]


def _read_pid(lock: Path) -> int | None:
    text = lock.read_text()
    return int(text) if text.isdecimal() else None


def _wait_for(found: Callable[[], _T], timeout_s: float) -> _T:
    """What `found` returns as soon as it is true, or at the end of the time."""
    deadline = time.monotonic() + timeout_s
    while not (result := found()) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return result


def _signal(pid: int | None, number: signal.Signals) -> None:
    try:
        if pid:
            os.kill(pid, number)
    except ProcessLookupError:
        return


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise InfraError(f"{command[0]}: {done.stderr.strip()}")


def _last_words(place: Place) -> str:
    if not place.console.exists():
        return "nothing was said"
    lines = place.console.read_text(errors="replace").split("\n")
    return " / ".join(line.strip() for line in lines[-4:] if line.strip())
