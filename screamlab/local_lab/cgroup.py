"""Control groups that hold one host each, on cgroup v1, v2 and both at once (cgroups(7)).

A host's systemd takes the group it finds itself in for the root of the tree, so every host needs
one of its own in each hierarchy that systemd manages: v2, and v1's ``name=systemd``.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from screamlab.errors import InfraError

_KILL_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Hierarchy:
    """Where a hierarchy is mounted, and the caller's own group in it."""

    mount: Path
    own: Path


@dataclass(frozen=True)
class Group:
    """The same control group in every hierarchy that systemd manages."""

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
    if not found:
        raise InfraError("no control group hierarchy that systemd could use is mounted")
    return found


def parse_hierarchies(mountinfo: str, cgroup: str) -> list[Hierarchy]:
    """Find v2 and ``name=systemd`` in /proc/self/mountinfo and /proc/self/cgroup (proc(5))."""
    own = {
        controllers: path
        for _, controllers, path in (line.split(":", 2) for line in cgroup.splitlines())
    }
    found: dict[str, Hierarchy] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        root, mount = before.split()[3:5]
        kind, _, options = after.split()[:3]
        if kind == "cgroup2":
            controllers = ""
        elif kind == "cgroup" and "name=systemd" in options.split(","):
            controllers = "name=systemd"
        else:
            continue
        if controllers in own and controllers not in found:
            below = own[controllers].removeprefix(root.rstrip("/")).lstrip("/")
            found[controllers] = Hierarchy(Path(mount), Path(mount) / below)
    return list(found.values())


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
