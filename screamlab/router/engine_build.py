"""Builds the router's engine on its host, through its package's own build backend."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import tarfile
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import psutil

from screamlab.errors import InfraError
from screamlab.observe.elf import Elf, read_elf
from screamlab.router.recipe import RECORD

BYTES_PER_JOB = 1.5 * 2**30
"""Memory that one compiler of templates such as pybind11's may take."""

_LIBRARY = re.compile(r".*\.so(\.\d+)*")
_ERROR = re.compile(r"error: |cmake error", re.IGNORECASE)


@dataclass(frozen=True)
class Order:
    """What is to be built, in `folder`: `source` is a tar, `python` has the backend installed.

    `jobs` 0 means as many as the host's memory allows; `told` goes into the engine's record.
    """

    folder: Path
    source: Path
    python: Path
    flags: Sequence[str]
    environment: Mapping[str, Any]
    steps: Sequence[Sequence[Any]]
    jobs: int
    told: Mapping[str, Any]


def build_engine(order: Order) -> tuple[Path, dict[str, Any]]:
    """The tar of the built engine, and its record.

    Nothing of an earlier build is there to be taken for this one's. Raises `InfraError` with the
    first error of what went wrong, and the log that holds the rest.
    """
    begun = time.monotonic()
    tree, wheels, site = (order.folder / name for name in ("source", "wheel", "site"))
    for folder in (tree, wheels, site):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.unpack_archive(order.source, tree, "gztar")
    jobs = order.jobs or parallel_jobs(os.cpu_count() or 1, psutil.virtual_memory().available)
    environment = build_environment(order, tree, jobs)
    log = order.folder / "build.log"
    log.write_text("")
    build = [str(order.python), "-m", "build", "--wheel", "--no-isolation"]
    for command in (*order.steps, [*build, f"--outdir={wheels}", tree]):
        _run([str(word) for word in command], tree, environment, log)
    wheel = next(wheels.glob("*.whl"))
    engine = _unpack_libraries(wheel, site)
    if not engine:
        raise InfraError(f"{wheel.name} holds no extension module; there is no engine in it")
    record = {
        **order.told,
        "version": wheel.name.split("-")[1],
        "build_ids": {name: elf.build_id for name, elf in engine.items()},
        "environment": runtime_environment(
            [name for elf in engine.values() for name in elf.needed]
        ),
        "jobs": jobs,
        "seconds": round(time.monotonic() - begun, 1),
    }
    _expect_debug_info(engine, order.flags)
    (site / RECORD).write_text(json.dumps(record, indent=1))
    archive = order.folder / "engine.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for name in (*engine, RECORD):
            tar.add(site / name, arcname=name)
    return archive, record


def parallel_jobs(cores: int, available_bytes: float) -> int:
    """How many compilers a host can run side by side within its memory; at least one."""
    return max(1, min(cores, int(available_bytes // BYTES_PER_JOB)))


def build_environment(order: Order, tree: Path, jobs: int) -> dict[str, str]:
    """The environment of the build: nothing of ours but the search path, and what is asked for.

    pybind11 takes debug information away unless CFLAGS themselves ask for it. Paths in the debug
    information begin at the root of the source, wherever that lay.
    """
    flags = shlex.join([*order.flags, f"-ffile-prefix-map={tree}=."])
    return {
        "PATH": f"{order.python.parent}:{os.environ['PATH']}",
        "HOME": str(order.folder),
        "LANG": "C.UTF-8",
        "CFLAGS": flags,
        "CXXFLAGS": flags,
        "MAX_JOBS": str(jobs),
        "MAKEFLAGS": f"-j{jobs}",
        "CMAKE_BUILD_PARALLEL_LEVEL": str(jobs),
        **{name: str(value) for name, value in order.environment.items()},
    }


def runtime_environment(needed: Sequence[str]) -> dict[str, str]:
    """What a program must be started with to load an engine that needs these libraries.

    The runtimes of the address and thread sanitizers must be there before anything else, and find
    the C++ library's own functions. CPython's own leaks are no news.
    """
    runtimes = [name for name in needed if name.startswith(("libasan.", "libtsan."))]
    if not runtimes:
        return {}
    standard = [name for name in needed if name.startswith("libstdc++.")]
    return {"LD_PRELOAD": " ".join([*runtimes, *standard]), "ASAN_OPTIONS": "detect_leaks=0"}


def first_error(output: str) -> str:
    """The line of a build's output that tells best why it failed."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return next(filter(_ERROR.search, lines), lines[-1] if lines else "it said nothing")


def _run(command: Sequence[str], tree: Path, environment: dict[str, str], log: Path) -> None:
    begun = log.stat().st_size
    with log.open("a") as file:
        try:
            done = subprocess.run(
                command,
                cwd=tree,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                check=False,
            )
        except OSError as error:
            raise InfraError(f"the build step {shlex.join(command)} cannot run: {error}") from None
    if done.returncode:
        output = log.read_bytes()[begun:].decode(errors="replace")
        raise InfraError(
            f"{shlex.join(command)} ended with status {done.returncode}: "
            f"{first_error(output)} (all of it: {log})"
        )


def _unpack_libraries(wheel: Path, site: Path) -> dict[str, Elf]:
    """Extension modules and the libraries beside them, by their path in site-packages."""
    with zipfile.ZipFile(wheel) as packed:
        names = [name for name in packed.namelist() if _LIBRARY.fullmatch(PurePosixPath(name).name)]
        packed.extractall(site, names)
    return {name: read_elf(site / name) for name in names}


def _expect_debug_info(engine: Mapping[str, Elf], flags: Sequence[str]) -> None:
    if not any(flag.startswith("-g") and flag != "-g0" for flag in flags):
        return
    bare = [name for name, elf in engine.items() if not elf.debug_info]
    if bare:
        raise InfraError(
            f"{', '.join(bare)} has no debug information though {shlex.join(flags)} asks for it: "
            "the package's own build takes it away"
        )
