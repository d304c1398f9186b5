"""Runs inside User-Mode Linux, for test_netem: modules and shell commands, one after the other.

``netem_guest.py STEPS``: STEPS is a JSON list of ``[name, {"module": …, "args": {…}}]`` and
``[name, {"sh": …}]``. Each answer is a line ``ANSWER {"name": …, "answer": …}`` on the console.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible.module_utils.testing import patch_module_args

LIBRARY = Path(__file__).resolve().parents[2] / "library"


@functools.cache
def main_of(name: str) -> Callable[[], None]:
    """What a module does; to load all it imports takes this kernel seconds and so is done once."""
    main: Callable[[], None] = runpy.run_path(str(LIBRARY / f"{name}.py"))["main"]
    return main


def module(name: str, args: dict[str, Any]) -> dict[str, Any]:
    """What a module answers; in this process, since a fork of it costs this kernel a second."""
    said = io.StringIO()
    quietly = contextlib.redirect_stdout(said)
    with contextlib.suppress(SystemExit), quietly, patch_module_args(args):
        main_of(name)()
    lines = said.getvalue().splitlines()
    return dict(json.loads(lines[-1])) if lines else {}


def shell(command: str) -> dict[str, Any]:
    """What a shell command says and ends with."""
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True)
    return {"rc": done.returncode, "out": done.stdout, "err": done.stderr}


def main() -> None:
    """Carry out the steps."""
    for name, step in json.loads(Path(sys.argv[1]).read_text()):
        done = module(step["module"], step["args"]) if "module" in step else shell(step["sh"])
        print("ANSWER", json.dumps({"name": name, "answer": done}), flush=True)


if __name__ == "__main__":
    main()
