"""Control groups that hold one host each, on cgroup v1, v2 and both at once (cgroups(7)).

A host's systemd takes the group it finds itself in for the root of the tree, so every host needs
one of its own in each hierarchy that systemd manages: v2, and v1's ``name=systemd``. One in v1's
``cpu``, where that is mounted and ours to use, lets hosts share the processors as v2's does.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from screamlab.errors import InfraError

V2 = ""
SYSTEMD = "name=systemd"
CPU = "cpu"
_KILL_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Hierarchy:
    """Where a hierarchy is mounted, and the caller's own group in it."""

    mount: Path
    own: Path


@dataclass(frozen=True)
class Group:
    """The same control group in every hierarchy that matters to a host."""

    folders: tuple[Path, ...]

    def child(self, name: str) -> Group:
        """The group of that name below this one."""
        return Group(tuple(folder / name for folder in self.folders))

    def create(self) -> None:
        """Make the group; `InfraError` where control groups are not ours to make."""
        try:
            for folder in self.folders:
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InfraError(f"control group: {error}") from error

    def join(self) -> None:
        """Move the calling process into the group."""
        for folder in self.folders:
            (folder / "cgroup.procs").write_text("0")

    def weigh(self, weight: int) -> None:
        """Set its part of the processors beside its siblings; 100 is the usual, as in v2.

        Where the controller is not to be had, nothing happens: hosts are scheduled as processes.
        """
        for folder in self.folders:
            _enable_cpu(folder)
            for name, value in (("cpu.weight", weight), ("cpu.shares", weight * 1024 // 100)):
                _set(folder / name, value)

    def allow_realtime(self, part: float) -> None:
        """Let its processes run as SCHED_FIFO for that part of the time of each processor.

        A kernel with CONFIG_RT_GROUP_SCHED allows none in a v1 group that was not given some, and
        no more to siblings than their parent has (kernel documentation, scheduler/sched-rt-group).
        """
        for folder in self.folders:
            period = folder / "cpu.rt_period_us"
            if period.exists():
                _set(folder / "cpu.rt_runtime_us", int(part * int(period.read_text())))

    def pids(self) -> set[int]:
        """The processes in the group and in all below it."""
        return {
            int(line)
            for folder in self.folders
            for procs in folder.rglob("cgroup.procs")
            for line in _lines(procs)
        }

    def kill(self) -> None:
        """Kill every process in the group, also what they start meanwhile."""
        deadline = time.monotonic() + _KILL_TIMEOUT_S
        while pids := self.pids() - {0, os.getpid()}:
            for pid in pids:
                _kill(pid)
            if time.monotonic() > deadline:
                raise InfraError(f"processes that do not die: {sorted(pids)}")
            time.sleep(0.01)

    def remove(self) -> None:
        """Remove the group and all below it, and parents that this leaves empty."""
        for folder in self.folders:
            below = sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True)
            for path in (*below, folder):
                _rmdir(path)

    def exists(self) -> bool:
        """Whether any of it is there."""
        return any(folder.exists() for folder in self.folders)


def named(path: str) -> Group:
    """The group of that path, counted from the top of each hierarchy."""
    return Group(tuple(hierarchy.mount / path for hierarchy in _hierarchies()))


def current() -> Group:
    """The group this process is in."""
    return Group(tuple(hierarchy.own for hierarchy in _hierarchies()))


def _hierarchies() -> list[Hierarchy]:
    found = parse_hierarchies(
        Path("/proc/self/mountinfo").read_text(), Path("/proc/self/cgroup").read_text()
    )
    if not found.keys() - {CPU}:
        raise InfraError("no control group hierarchy that systemd could use is mounted")
    if CPU in found and not os.access(found[CPU].mount, os.W_OK):
        del found[CPU]
    return list(found.values())


def parse_hierarchies(mountinfo: str, cgroup: str) -> dict[str, Hierarchy]:
    """Find v2, ``name=systemd`` and ``cpu`` in /proc/self/mountinfo and cgroup (proc(5)).

    The key is the controller by which v1 tells them apart, "" for v2.
    """
    own = {
        controller: path
        for _, controllers, path in (line.split(":", 2) for line in cgroup.splitlines())
        for controller in controllers.split(",")
    }
    found: dict[str, Hierarchy] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        root, mount = before.split()[3:5]
        kind, _, options = after.split()[:3]
        if kind not in ("cgroup", "cgroup2"):
            continue
        marks = {V2} if kind == "cgroup2" else set(options.split(","))
        for controller in marks & {V2, SYSTEMD, CPU} & own.keys() - found.keys():
            below = own[controller].removeprefix(root.rstrip("/")).lstrip("/")
            found[controller] = Hierarchy(Path(mount), Path(mount) / below)
    return found


def _enable_cpu(folder: Path) -> None:
    """Hand v2's cpu controller down to a group, from where it is on."""
    for above in reversed(folder.parents):
        on = _lines(above / "cgroup.subtree_control")
        if "cpu" in _lines(above / "cgroup.controllers") and "cpu" not in on:
            _set(above / "cgroup.subtree_control", "+cpu")


def _set(path: Path, value: int | str) -> None:
    """Write a setting that a host can do without; the kernel refuses what is not to be had."""
    if path.exists():
        with suppress(OSError):
            path.write_text(str(value))


def _lines(path: Path) -> Iterable[str]:
    try:
        return path.read_text().split()
    except OSError:  # the group was removed, or is a threaded one without a process list
        return ()


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _rmdir(path: Path) -> None:
    try:
        path.rmdir()
    except FileNotFoundError:
        return
