"""Where a host keeps its cores: in files, as /proc/sys/kernel/core_pattern says, or with systemd.

Nothing of this is changed here: the pattern may be that of a machine which other hosts share.
"""

from __future__ import annotations

import contextlib
import glob
import json
import re
import shutil
import stat
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from screamlab.errors import InfraError
from screamlab.observe.core_file import Core, read_core, signal_name

_KERNEL = Path("/proc/sys/kernel")
# systemd.journal-fields(7): the message with which systemd-coredump hands in a core.
_MESSAGE_ID = "fc2e22bc6ee647b6b90729ab34a250b1"
# Of /proc/PID/status: the parent, the process group and the session.
_KIN = re.compile(r"^(?:PPid|NSpgid|NSsid):\s+(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Found:
    """A core that is whole: of whom, when it was done (unix seconds), and where it lies."""

    core: Core
    t: float
    key: str


class Place(Protocol):
    """A way in which a host keeps cores."""

    name: str
    look_s: float
    """How often it may be asked for news."""

    def news(self, folders: Iterable[Path]) -> list[Found]:
        """The whole cores that were not told before; processes ran in these `folders`."""

    def take(self, found: Found, target: Path) -> None:
        """Have the core in the file `target`; `InfraError` when it cannot be had."""

    def remove(self, found: Found) -> None:
        """Leave nothing of it."""


def core_place(since: float) -> Place:
    """How this host keeps the cores of processes that end after `since` (unix seconds).

    `InfraError` says in one sentence why the lab cannot have them.
    """
    try:
        pattern = (_KERNEL / "core_pattern").read_text().rstrip("\n")
        uses_pid = (_KERNEL / "core_uses_pid").read_text().strip() != "0"
    except OSError as error:
        raise InfraError(f"core_pattern cannot be read: {error.strerror}") from error
    if not pattern.startswith("|"):
        return Files(file_glob(pattern, uses_pid), since)
    program = pattern[1:].split()[0]
    if Path(program).name == "systemd-coredump" and shutil.which("coredumpctl"):
        return Journal(since)
    raise InfraError(
        f"the kernel hands cores to {program}, of which the lab cannot have them: set "
        "kernel.core_pattern to core, or use systemd-coredump"
    )


def file_glob(pattern: str, uses_pid: bool) -> str:
    """The glob of the files that a pattern (core(5)) stands for."""
    parts = re.split(r"(%.?)", pattern)
    made = ["%" if part == "%%" else "*" if part[:1] == "%" else glob.escape(part)
            for part in parts]  # fmt: skip
    return "".join(made) + (".*" if uses_pid and "%p" not in parts else "")


class Files:
    """Cores as files; those that were there before `since` (unix seconds) are somebody else's."""

    look_s = 1.0

    def __init__(self, pattern: str, since: float) -> None:
        self.name = f"files {pattern}"
        self._pattern = pattern
        self._since = since
        self._told: dict[Path, int] = {}

    def news(self, folders: Iterable[Path]) -> list[Found]:
        """See `Place.news`."""
        tops = {Path("/")} if self._pattern.startswith("/") else set(folders)
        paths = {Path(top, name) for top in tops for name in glob.glob(self._pattern, root_dir=top)}
        found = [one for path in paths if (one := self._look(path)) is not None]
        return sorted(found, key=lambda one: one.t)

    def _look(self, path: Path) -> Found | None:
        with contextlib.suppress(OSError):
            told = path.lstat()
            new = told.st_mtime >= self._since and self._told.get(path) != told.st_mtime_ns
            if new and stat.S_ISREG(told.st_mode):
                core = read_core(path)
                if core is not None and not _is_dumping(core.pid):
                    self._told[path] = told.st_mtime_ns
                    return Found(core, told.st_mtime, str(path))
        return None

    def take(self, found: Found, target: Path) -> None:
        """See `Place.take`."""
        try:
            shutil.move(found.key, target)
        except OSError as error:
            raise InfraError(f"{found.key} cannot be moved: {error.strerror}") from error

    def remove(self, found: Found) -> None:
        """See `Place.remove`."""
        Path(found.key).unlink(missing_ok=True)


class Journal:
    """Cores that systemd-coredump(8) keeps; all that it knows of them stands in the journal."""

    name = "systemd-coredump"
    look_s = 5.0

    def __init__(self, since: float) -> None:
        self._after = [f"--since=@{since:.6f}"]
        self._files: dict[str, str] = {}

    def news(self, folders: Iterable[Path]) -> list[Found]:
        """See `Place.news`; `folders` do not matter here."""
        command = ["journalctl", "--quiet", "--output=json", *self._after]
        done = subprocess.run(
            [*command, f"MESSAGE_ID={_MESSAGE_ID}"], capture_output=True, text=True, check=False
        )
        found = []
        for line in done.stdout.splitlines():
            fields = json.loads(line)
            self._after = [f"--after-cursor={fields['__CURSOR']}"]
            one = parse_entry(fields)
            self._files[one.key] = fields.get("COREDUMP_FILENAME", "")
            found.append(one)
        return found

    def take(self, found: Found, target: Path) -> None:
        """See `Place.take`."""
        command = ["coredumpctl", "--quiet", f"--output={target}", "dump", *found.key.split()]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise InfraError(f"coredumpctl: {done.stderr.strip() or done.returncode}")

    def remove(self, found: Found) -> None:
        """See `Place.remove`; its entry in the journal stays."""
        if file := self._files.get(found.key):
            Path(file).unlink(missing_ok=True)


def parse_entry(fields: dict[str, Any]) -> Found:
    """A core as systemd-coredump tells of it in the journal (`journalctl --output=json`)."""
    pid = int(fields["COREDUMP_PID"])
    status = str(fields.get("COREDUMP_PROC_STATUS", ""))
    kin = {pid, *map(int, _KIN.findall(status))} - {0, 1}
    stamp = str(fields["COREDUMP_TIMESTAMP"])
    core = Core(
        pid=pid,
        kin=frozenset(kin),
        signal=signal_name(int(fields["COREDUMP_SIGNAL"])),
        command=str(fields.get("COREDUMP_CMDLINE", "")),
        executable=str(fields.get("COREDUMP_EXE", "")),
    )
    return Found(core, int(stamp) / 1e6, f"COREDUMP_TIMESTAMP={stamp} COREDUMP_PID={pid}")


def _is_dumping(pid: int) -> bool:
    """Whether a process is at work on its core (proc_pid_status(5), CoreDumping)."""
    with contextlib.suppress(OSError):
        return "CoreDumping:\t1" in Path(f"/proc/{pid}/status").read_text()
    return False
