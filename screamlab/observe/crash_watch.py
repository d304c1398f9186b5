"""Worker of the agent: finds the cores that the watched processes leave, and keeps what they tell.

Spec: `{"processes": [{"name": "router", "unit": "screamrouter.service"}, …]}`, as the sampler has
them, by `unit` or `pid`. Of each, subject `process/<name>`, these events:

- `core.canary{ok, reason, where}` before anything else: a process with the same working directory,
  user and limits was aborted, and its core turned up, was known again and removed; or not, and why.
- `core.found{pid, signal, command, executable, build_id}` within a second or two of a crash.
- `core.kept{pid, files, core_bytes, error}`: `files` of the run's folder hold the core, compressed,
  and the stacks of all its threads. `error` says what is not there, and why.
- `core.watched{looks, found}` at the end.

Cores of other processes are left where they are.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from screamlab.agent.context import WorkerContext
from screamlab.errors import InfraError
from screamlab.observe.core_file import build_id
from screamlab.observe.core_keep import keep, kept_so_far
from screamlab.observe.core_place import Found, Place, core_place
from screamlab.observe.sampler import Watched
from screamlab.observe.units import Units
from screamlab.observe.workers import descendants

# A core of a few hundred kilobytes; a busy User-Mode Linux takes its time for it. One in a hundred
# is not written as a host's workers start.
_CANARIES, _CANARY_S = 3, 5.0
_UNIT_S = 10.0
_PAUSE_S = 0.1
_SCRATCH = ".canary-"
# It waits for its limits before it crashes.
_CANARY = ("/bin/sh", "-c", "read limits; kill -ABRT $$")
_SYSTEMD_PATIENCE_S = 2.0
# Of what keeps a core: audio is being measured.
_NICENESS = 19
# The agent gives a worker 30 s after its window.
_LAST_S = 20.0


def run(spec: dict[str, Any], context: WorkerContext) -> None:
    """Watch until the worker's window ends; what was found by then is kept before it returns."""
    watched = [Watched.model_validate(item) for item in spec["processes"]]
    watch = CrashWatch(watched, context)
    try:
        watch.prove()
        while context.now_s() < context.to_s and not context.stopping.wait(watch.look_s):
            watch.look()
    finally:
        watch.close()


class CrashWatch:
    """The watched processes of a host, and the cores they leave."""

    def __init__(self, watched: list[Watched], context: WorkerContext) -> None:
        self._context = context
        self._units = Units([item.unit for item in watched if item.unit])
        self._units.refresh(time.monotonic(), wait_s=_SYSTEMD_PATIENCE_S)
        self._groups = [_Group(item, self._units) for item in watched]
        self._place: Place | None = None
        self._why_not = ""
        try:
            self._place = core_place(time.time())
        except InfraError as error:
            self._why_not = str(error)
        self._queue: SimpleQueue[Found | None] = SimpleQueue()
        self._unkept: dict[Found, str] = {}
        self._keeper: threading.Thread | None = None

    @property
    def look_s(self) -> float:
        """How often it is to look."""
        return self._place.look_s if self._place else 1.0

    def prove(self) -> None:
        """Let a canary of every watched thing crash, and tell whether its core turned up."""
        for group in self._groups:
            self._wait_for(group)
            reason = self._why_not
            if self._place is not None:
                try:
                    self._take(prove(self._place, group.main_pid()))
                except InfraError as error:
                    reason = str(error)
            where = self._place.name if self._place else ""
            self._context.spool.event(
                "core.canary", group.subject, ok=not reason, reason=reason, where=where
            )

    def _wait_for(self, group: _Group) -> None:
        """Until systemd has told of its process; a busy host takes seconds for that."""
        deadline_s = time.monotonic() + _UNIT_S
        while not group.main_pid() and time.monotonic() < deadline_s:
            self._units.suspect()
            self._units.refresh(time.monotonic(), wait_s=0.5)
            time.sleep(_PAUSE_S)
        group.refresh()

    def look(self) -> None:
        """Find what cores there are by now."""
        self._units.refresh(time.monotonic())
        for group in self._groups:
            group.refresh()
        if self._place is None:
            return
        self._take(self._place.news({f for group in self._groups for f in group.folders}))
        for group in self._groups:
            group.looks += 1

    def close(self) -> None:
        """Look once more, and wait until what was found is kept, for as long as there is time."""
        self.look()
        if self._keeper is not None:
            self._queue.put(None)
            assert self._keeper.native_id is not None
            os.setpriority(os.PRIO_PROCESS, self._keeper.native_id, 0)
            self._keeper.join(_LAST_S)
        for found in list(self._unkept):
            self._tell_kept(found, kept_so_far(found, self._context.directory))
        self._units.close()
        for group in self._groups:
            counted = {"looks": group.looks, "found": group.found}
            self._context.spool.event("core.watched", group.subject, **counted)

    def _take(self, news: list[Found]) -> None:
        """Tell of those cores that are of watched processes."""
        for found in news:
            owner = next((group for group in self._groups if group.owns(found)), None)
            # A canary that comes too late is none of theirs.
            if owner is not None and _CANARY[-1] not in found.core.command:
                self._tell(owner, found)

    def _tell(self, group: _Group, found: Found) -> None:
        core = found.core
        group.found += 1
        self._context.spool.event(
            "core.found",
            group.subject,
            t=found.t,
            pid=core.pid,
            signal=core.signal,
            command=core.command,
            executable=core.executable,
            build_id=build_id(Path(core.executable)),
        )
        self._unkept[found] = group.subject
        self._queue.put(found)
        if self._keeper is None:
            self._keeper = threading.Thread(target=self._keep_all, name="cores", daemon=True)
            self._keeper.start()

    def _keep_all(self) -> None:
        # Of this thread alone, and of what it starts.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        number = 0
        while (found := self._queue.get()) is not None:
            assert self._place is not None
            number += 1
            self._tell_kept(found, keep(self._place, found, self._context.directory, number))

    def _tell_kept(self, found: Found, told: dict[str, Any]) -> None:
        if subject := self._unkept.pop(found, None):
            self._context.spool.event("core.kept", subject, pid=found.core.pid, **told)


class _Group:
    """A watched thing: the numbers and the folders of all processes it was ever seen to have."""

    def __init__(self, watched: Watched, units: Units) -> None:
        self.subject = f"process/{watched.name}"
        self.folders: set[Path] = set()
        self.looks = self.found = 0
        self._watched = watched
        self._units = units
        self._pids: set[int] = set()

    def main_pid(self) -> int:
        """The process that stands for it; 0 when there is none."""
        if self._watched.unit:
            return self._units.states[self._watched.unit].main_pid
        return self._watched.pid or 0

    def refresh(self) -> None:
        if self._watched.unit:
            pids = self._units.pids(self._watched.unit)
        else:
            assert self._watched.pid is not None
            pids = [self._watched.pid, *descendants(self._watched.pid)]
        self._pids.update(pids)
        for pid in pids:
            with contextlib.suppress(OSError):
                self.folders.add(Path(os.readlink(f"/proc/{pid}/cwd")))

    def owns(self, found: Found) -> bool:
        return not self._pids.isdisjoint(found.core.kin)


def prove(place: Place, pid: int) -> list[Found]:
    """Let a process crash as the process `pid` would, and see its core; it is removed again.

    Returns what other cores turned up meanwhile. `InfraError` says why no core of such a process
    can be had.
    """
    others: list[Found] = []
    try:
        soft, hard = resource.prlimit(pid, resource.RLIMIT_CORE) if pid else (0, 0)
        owner = os.stat(f"/proc/{pid}")
        folder = Path(os.readlink(f"/proc/{pid}/cwd"))
    except OSError:
        pid = 0
    if not pid:
        raise InfraError("there is no process that could leave a core")
    if soft == 0:
        raise InfraError("its limit for cores is 0: its unit needs LimitCORE=infinity")
    left: list[str] = []
    for _ in range(_CANARIES):
        with _scratch(folder, owner.st_uid, owner.st_gid) as own:
            canary = _crash(own, owner, (soft, hard))
            deadline = time.monotonic() + _CANARY_S
            while time.monotonic() < deadline:
                news = place.news([own])
                others += [found for found in news if found.core.pid != canary]
                if own_core := [found for found in news if found.core.pid == canary]:
                    place.remove(own_core[0])
                    return others
                time.sleep(_PAUSE_S)
            left = [f"{file.name} of {file.stat().st_size} bytes" for file in own.iterdir()]
    raise InfraError(
        f"none of {_CANARIES} canaries left a core within {_CANARY_S:g} s ({place.name}); in the "
        f"folder of the last is {', '.join(left) or 'nothing'}"
    )


def _crash(folder: Path, owner: os.stat_result, limits: tuple[int, int]) -> int:
    """Let a canary crash in `folder`, as that owner and with those limits; its process id."""
    with subprocess.Popen(
        _CANARY,
        cwd=folder,
        user=owner.st_uid,
        group=owner.st_gid,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as canary:
        resource.prlimit(canary.pid, resource.RLIMIT_CORE, limits)
        canary.communicate(b"\n")
    return canary.pid


@contextlib.contextmanager
def _scratch(folder: Path, uid: int, gid: int) -> Iterator[Path]:
    """A folder of the canary's own in the folder where it is to crash."""
    for left in folder.glob(f"{_SCRATCH}*"):
        shutil.rmtree(left, ignore_errors=True)
    try:
        own = tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=folder)
    except OSError as error:
        raise InfraError(f"{folder}: no core can be written there: {error.strerror}") from error
    with own as path:
        os.chown(path, uid, gid)
        yield Path(path)
