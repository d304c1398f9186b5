"""Which engine a running router has loaded."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from screamlab.observe.elf import read_elf
from screamlab.router.recipe import RECORD

ENGINE = "screamrouter_audio_engine"
"""Name of the extension module that is the router's engine."""


@dataclass(frozen=True)
class Engine:
    """The file a router has loaded as its engine, and what is known of it.

    `build` is the record of an engine that the lab built (`screamlab.router.engine_build`).
    """

    file: str
    build_id: str | None
    debug_info: bool
    build: dict[str, Any] | None


def loaded_engine(pid: int) -> Engine | None:
    """The engine of a process or its children; None when none is loaded, or its file is gone.

    Raises `InfraError` where it cannot be read.
    """
    for file in _mapped(pid):
        if file.name.startswith(f"{ENGINE}.") and file.exists():
            elf = read_elf(file)
            return Engine(str(file), elf.build_id, elf.debug_info, _record(file))
    return None


def _mapped(pid: int) -> list[Path]:
    """The files a process and its children have mapped, by proc(5): psutil would ask for sizes."""
    try:
        main = psutil.Process(pid)
        family = [main, *main.children(recursive=True)]
        maps = [Path(f"/proc/{process.pid}/maps").read_text() for process in family]
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return []
    lines = [line.split(maxsplit=5) for text in maps for line in text.splitlines()]
    return [Path(line[5]) for line in lines if len(line) == 6]


def _record(engine: Path) -> dict[str, Any] | None:
    for folder in engine.parents:
        if (folder / RECORD).exists():
            record = json.loads((folder / RECORD).read_text())
            assert isinstance(record, dict)
            return record
    return None
