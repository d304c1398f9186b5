"""Which engine a running router has loaded."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from screamlab.router.elf import read_elf
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

    Raises `InfraError` where readelf cannot be had.
    """
    for file in _mapped(pid):
        if file.name.startswith(f"{ENGINE}.") and file.exists():
            elf = read_elf(file)
            return Engine(str(file), elf.build_id, elf.debug_info, _record(file))
    return None


def _mapped(pid: int) -> list[Path]:
    try:
        main = psutil.Process(pid)
        processes = [main, *main.children(recursive=True)]
        return [Path(entry.path) for process in processes for entry in process.memory_maps()]
    except psutil.NoSuchProcess:
        return []


def _record(engine: Path) -> dict[str, Any] | None:
    try:
        record = json.loads((engine.parent / RECORD).read_text())
    except FileNotFoundError:
        return None
    assert isinstance(record, dict)
    return record
