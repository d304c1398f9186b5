"""Facts of a host, taken once a run: whatever could explain a difference between two runs.

Every fact is plain JSON. What a host does not have or does not let us see is null, never an
error: a run must not fail because `ethtool` is missing.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from screamlab import __version__
from screamlab.observe import procfs

_SYSCTLS = (
    "fs/file-max",
    "kernel/core_pattern",
    "kernel/randomize_va_space",
    "kernel/sched_rt_runtime_us",
    "net/core/default_qdisc",
    "net/core/netdev_max_backlog",
    "net/core/rmem_default",
    "net/core/rmem_max",
    "net/core/wmem_default",
    "net/core/wmem_max",
    "net/ipv4/igmp_max_memberships",
    "net/ipv4/ip_forward",
    "net/ipv4/udp_mem",
    "vm/overcommit_memory",
    "vm/swappiness",
)
_SYSTEM_PACKAGES = (
    "chromium",
    "gstreamer1.0-plugins-bad",
    "gstreamer1.0-plugins-base",
    "gstreamer1.0-plugins-good",
    "gstreamer1.0-tools",
    "iproute2",
    "kamailio",
    "libc6",
    "libopus0",
    "sip-tester",
    "systemd",
    "valgrind",
    "vlc-bin",
)
_OWN_DISTRIBUTIONS = ("numpy", "psutil", "pydantic", "pyroute2", "screamlab")


def gather(
    *, router_venv: Path = Path("/opt/screamrouter/venv"), disks: Iterable[Path] = (Path("/"),)
) -> dict[str, Any]:
    """Everything worth knowing of this host. Sizes in bytes, times in unix seconds.

    The clock's offset against the controller cannot be known here: the controller measures it
    and keeps it in the run's `run.json` as `clocks`.
    """
    return {
        "schema_version": 1,
        "taken_at": time.time(),
        "hostname": socket.gethostname(),
        "os": _os_release(),
        "kernel": kernel(),
        "machine": platform.machine(),
        "virtualization": _run("systemd-detect-virt", ok=(0, 1)),
        "boot_id": _text("/proc/sys/kernel/random/boot_id"),
        "uptime_s": float((_text("/proc/uptime") or "0").split()[0]),
        "cpu": _cpu(),
        "memory_bytes": procfs.parse_meminfo(Path("/proc/meminfo").read_bytes())[0],
        "disks": {str(path): _disk(path) for path in disks if path.exists()},
        "python": {"version": platform.python_version(), "executable": sys.executable},
        "clock": _clock(),
        "sysctls": {name.replace("/", "."): _text(f"/proc/sys/{name}") for name in _SYSCTLS},
        "links": _run_json("ip", "-j", "-d", "-s", "link"),
        "addresses": _run_json("ip", "-j", "address"),
        "routes": _run_json("ip", "-j", "route"),
        "qdiscs": _run_json("tc", "-s", "-j", "qdisc"),
        "offloads": {name: _offloads(name) for _, name in socket.if_nameindex() if name != "lo"},
        "versions": _versions(router_venv),
    }


def parse_offloads(text: str) -> dict[str, bool]:
    """Parse `ethtool -k DEVICE`: feature to whether it is on."""
    pairs = (line.strip().split(": ", 1) for line in text.splitlines() if ": " in line)
    return {name: value.split()[0] == "on" for name, value in pairs}


def parse_cpu_model(cpuinfo: str) -> str | None:
    """The first processor's model name in /proc/cpuinfo; None where it is not told (ARM)."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return None


def parse_os_release(text: str) -> dict[str, str]:
    """Parse os-release(5)."""
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    return {name: value.strip().strip("\"'") for name, value in pairs if not name.startswith("#")}


def kernel() -> dict[str, Any]:
    """What tells one running kernel from another; a container has a boot id of its own."""
    started = re.search(r"^btime (\d+)$", _text("/proc/stat") or "", re.MULTILINE)
    return {
        "release": platform.release(),
        "version": platform.version(),
        "started_at": int(started[1]) if started else None,
    }


def _cpu() -> dict[str, Any]:
    frequency = "/sys/devices/system/cpu/cpu0/cpufreq"
    return {
        "model": parse_cpu_model(_text("/proc/cpuinfo") or ""),
        "count": os.cpu_count(),
        "usable": len(os.sched_getaffinity(0)),
        "governor": _text(f"{frequency}/scaling_governor"),
        "transparent_hugepage": _text("/sys/kernel/mm/transparent_hugepage/enabled"),
    }


def _clock() -> dict[str, Any]:
    source = "/sys/devices/system/clocksource/clocksource0"
    timedated = _run("timedatectl", "show") or ""
    return {
        "source": _text(f"{source}/current_clocksource"),
        "available": (_text(f"{source}/available_clocksource") or "").split(),
        "timedated": dict(line.split("=", 1) for line in timedated.splitlines() if "=" in line),
        "chrony": _run("chronyc", "-c", "tracking"),
    }


def _versions(router_venv: Path) -> dict[str, Any]:
    folders = router_venv.glob("lib/python3*/site-packages/screamrouter-*.dist-info")
    router = sorted(folder.name.removesuffix(".dist-info").split("-")[1] for folder in folders)
    return {
        "screamlab": __version__,
        "screamrouter": router[0] if router else None,
        "distributions": {name: _distribution(name) for name in _OWN_DISTRIBUTIONS},
        "packages": _system_packages(),
    }


def _system_packages() -> dict[str, str] | None:
    form = "${Package} ${Version}\\n"
    answer = _run("dpkg-query", "-W", "-f", form, *_SYSTEM_PACKAGES, ok=(0, 1))
    if answer is None:
        return None
    pairs = (line.split(" ", 1) for line in answer.splitlines())
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2 and pair[1]}


def _distribution(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _disk(path: Path) -> dict[str, int]:
    usage = shutil.disk_usage(path)
    return {"total_bytes": usage.total, "free_bytes": usage.free}


def _offloads(device: str) -> dict[str, bool] | None:
    text = _run("ethtool", "-k", device)
    return None if text is None else parse_offloads(text)


def _os_release() -> dict[str, str]:
    values = parse_os_release(_text("/etc/os-release") or "")
    return {
        key.lower(): values[key] for key in ("ID", "VERSION_ID", "PRETTY_NAME") if key in values
    }


def _text(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def _run_json(*command: str) -> Any:
    try:
        return json.loads(_run(*command) or "null")
    except ValueError:
        return None


def _run(*command: str, ok: tuple[int, ...] = (0,)) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode in ok else None
