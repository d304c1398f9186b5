"""What a compiled file says about itself, by readelf(1)."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from screamlab.errors import InfraError

_BUILD_ID = re.compile(r"Build ID: ([0-9a-f]+)")
_DEBUG_INFO = re.compile(r"\s\.z?debug_info\s")
_NEEDED = re.compile(r"\(NEEDED\)\s+Shared library: \[(.+)\]")


@dataclass(frozen=True)
class Elf:
    """A program or library: its build id (hexadecimal, None where it has none), whether it has
    DWARF debug information, and the libraries it needs by their sonames."""

    build_id: str | None
    debug_info: bool
    needed: tuple[str, ...]


def read_elf(file: Path) -> Elf:
    """Ask readelf; `InfraError` where there is none, or the file is no ELF file."""
    command = ["readelf", "--wide", "--notes", "--section-headers", "--dynamic", str(file)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={"LC_ALL": "C"}
        )
    except FileNotFoundError:
        raise InfraError("readelf is missing; the Debian package binutils has it") from None
    if done.returncode or not done.stdout:
        said = done.stderr.strip().splitlines()
        raise InfraError(f"readelf: {said[0].removeprefix('readelf: ') if said else file}")
    return parse_readelf(done.stdout)


def parse_readelf(text: str) -> Elf:
    """The notes, sections and dynamic entries as ``readelf --wide`` prints them."""
    found = _BUILD_ID.search(text)
    return Elf(
        build_id=found.group(1) if found else None,
        debug_info=bool(_DEBUG_INFO.search(text)),
        needed=tuple(_NEEDED.findall(text)),
    )
