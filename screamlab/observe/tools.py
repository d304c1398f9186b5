"""Programs that show the stacks of a process or of its core: gdb(1) and py-spy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

_TIMEOUT_S = 45.0
# A gdb that asks no server, no terminal and no script of a library's.
_GDB = (
    "--batch",
    "-nx",
    "-iex",
    "set debuginfod enabled off",
    "-iex",
    "set pagination off",
    "-iex",
    "set auto-load python-scripts off",
)
_STACKS = ("-ex", "thread apply all bt")
# One line for each file that was loaded; `screamlab.evidence.stacks.build_ids` reads them again.
_BUILD_IDS = (
    "-ex",
    "python [print('build-id', o.build_id, o.filename) for o in gdb.objfiles()]",
)


@dataclass(frozen=True)
class Tool:
    """A program that shows stacks; what stands in braces in its command is filled in by `take`."""

    name: str
    command: tuple[str, ...]

    def path(self) -> str | None:
        """Where it is; None when this host has none."""
        # Packages that were unpacked for this interpreter have their programs beside them.
        folders = [Path(sys.executable).parent, Path(sysconfig.get_path("purelib")) / "bin"]
        search = os.pathsep.join([*map(str, folders), os.environ.get("PATH", os.defpath)])
        return shutil.which(self.name, path=search)

    def take(self, file: Path, **of: object) -> str:
        """Write what it says of a process or a core into `file`.

        Returns what went wrong, in few words; nothing when all went well. Takes at most 45 s.
        """
        path = self.path()
        if path is None:
            return "is not installed on this host"
        command = [path, *(part.format(**of) for part in self.command)]
        environment = {key: value for key, value in os.environ.items() if key != "DEBUGINFOD_URLS"}
        try:
            with file.open("wb") as output:
                done = subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=_TIMEOUT_S,
                    env=environment,
                    check=False,
                )
        except subprocess.TimeoutExpired:
            return f"did not end within {_TIMEOUT_S:g} s"
        except OSError as error:
            return error.strerror or str(error)
        return f"ended with exit status {done.returncode}" if done.returncode else ""


PY_SPY = Tool("py-spy", ("dump", "--nonblocking", "--pid", "{pid}"))
GDB = Tool("gdb", (*_GDB, "-p", "{pid}", *_STACKS))
GDB_OF_CORE = Tool("gdb", (*_GDB, *_BUILD_IDS, *_STACKS, "{executable}", "{core}"))
# Of a process under Valgrind the others would see Valgrind alone.
VGDB = Tool("vgdb", ("--pid={pid}", "v.info", "scheduler"))
