"""The processes of systemd units: which control group a unit has, and who is in it now.

Asking systemd costs a process, so it is asked seldom and never waited for: a question is put at
one tick and its answer taken at a later one. Reading the control group is cheap and is done at
every tick. Both hierarchies work: cgroup v2 and the v1 hierarchy named `systemd`
(systemd.unit(5), cgroups(7)).
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_SETTLED_S = 60.0
_UNSETTLED_S = 2.0
_PROPERTIES = "ControlGroup,NRestarts,MainPID"


@dataclass(frozen=True)
class UnitState:
    """What systemd says of a unit; `main_pid` 0 and an empty group when it does not run."""

    control_group: str = ""
    main_pid: int = 0
    restarts: int = 0


def parse_show(text: str, units: Sequence[str]) -> dict[str, UnitState]:
    """Parse `systemctl show -p ControlGroup,NRestarts,MainPID UNIT…`, one block a unit."""
    states = {}
    for unit, block in zip(units, text.strip("\n").split("\n\n"), strict=True):
        values = dict(line.split("=", 1) for line in block.splitlines())
        states[unit] = UnitState(
            control_group=values.get("ControlGroup", ""),
            main_pid=int(values.get("MainPID") or 0),
            restarts=int(values.get("NRestarts") or 0),
        )
    return states


def control_group_folders(mountinfo: str, control_group: str) -> list[str]:
    """Where a control group may lie, given /proc/self/mountinfo: v2 and v1 `name=systemd`."""
    folders = []
    for line in mountinfo.splitlines():
        mount, _, source = line.partition(" - ")
        kind, _, options = source.split(" ", 2)
        if kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options):
            root, mount_point = mount.split()[3:5]
            inside = control_group.removeprefix(root) if root != "/" else control_group
            folders.append(f"{mount_point}/{inside.strip('/')}")
    return folders


class Units:
    """The watched units of this host."""

    def __init__(self, units: Sequence[str]) -> None:
        self.states = dict.fromkeys(units, UnitState())
        self._procs: dict[str, list[str]] = {}
        self._query: subprocess.Popen[str] | None = None
        self._asked_s = self._next_query_s = -_SETTLED_S
        self._mountinfo = Path("/proc/self/mountinfo").read_text()

    def refresh(self, now_s: float, *, wait_s: float = 0.0) -> None:
        """Take systemd's answer if there is one, and ask again when it is time (monotonic)."""
        if not self.states:
            return
        if self._query is None and now_s >= self._next_query_s:
            command = ["systemctl", "show", "-p", _PROPERTIES, "--", *self.states]
            with contextlib.suppress(OSError):
                self._query = subprocess.Popen(
                    command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
                )
            self._asked_s, self._next_query_s = now_s, now_s + _SETTLED_S
        if self._query is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._query.wait(wait_s)
                self._take_answer()

    def pids(self, unit: str) -> list[int]:
        """Every process in the unit's control group and below it."""
        pids: list[int] = []
        for path in self._procs.get(unit, ()):
            with contextlib.suppress(OSError), open(path, "rb") as file:
                pids.extend(map(int, file.read().split()))
        if not pids:
            self.suspect()
        return pids

    def suspect(self) -> None:
        """What is known of the units looks old: ask as soon as the shortest pause is over."""
        self._next_query_s = self._asked_s + _UNSETTLED_S

    def close(self) -> None:
        """End a question that is still open."""
        if self._query is not None:
            self._query.kill()
            self._query.communicate()

    def _take_answer(self) -> None:
        assert self._query is not None and self._query.stdout is not None
        text = self._query.stdout.read()
        self._query.stdout.close()
        self._query = None
        with contextlib.suppress(ValueError):
            self.states = parse_show(text, list(self.states))
            self._procs = {
                unit: self._find_procs(state.control_group) for unit, state in self.states.items()
            }

    def _find_procs(self, control_group: str) -> list[str]:
        if control_group in ("", "/"):
            return []
        for folder in control_group_folders(self._mountinfo, control_group):
            found = [f"{path}/cgroup.procs" for path, _, _ in os.walk(folder)]
            if any(os.path.exists(path) and Path(path).read_bytes().strip() for path in found):
                return found
        return []
