"""What a core says of the process it was, in the notes at its head (core(5), elf(5))."""

from __future__ import annotations

import signal
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.construct import ConstructError
from elftools.elf.elffile import ELFFile

# Of struct elf_prstatus (linux/elfcore.h): three ints of siginfo, then pr_cursig.
_CURSIG = struct.Struct("=12xH")
_AT_PHDR = 3


@dataclass(frozen=True)
class Core:
    """A process that left a core, and what it died of (`SIGSEGV`, or a number without a name).

    `kin` are the process numbers by which it can be known: its own, its parent's, its group's and
    its session's. `executable` is the path of the file it ran.
    """

    pid: int
    kin: frozenset[int]
    signal: str
    command: str
    executable: str


def read_core(path: Path) -> Core | None:
    """The process that a core is of; None when it is none, or its head is not written yet."""
    try:
        with path.open("rb") as file:
            notes = _notes(ELFFile(file))
        process = notes["NT_PRPSINFO"]
        (number,) = _CURSIG.unpack_from(notes["NT_PRSTATUS"])
        executable = _executable(notes["NT_FILE"], notes["NT_AUXV"])
    except (OSError, ELFError, ConstructError, KeyError, ValueError, struct.error):
        return None
    return Core(
        pid=process.pr_pid,
        kin=frozenset({process.pr_pid, process.pr_ppid, process.pr_pgrp, process.pr_sid} - {0, 1}),
        signal=signal_name(number),
        command=process.pr_psargs.rstrip(b"\0 ").decode(errors="replace"),
        executable=executable,
    )


def build_id(executable: Path) -> str | None:
    """The build id of an ELF file; None where it has none or cannot be read."""
    try:
        with executable.open("rb") as file:
            section = ELFFile(file).get_section_by_name(".note.gnu.build-id")
            return next((str(note.n_desc) for note in section.iter_notes()), None)
    except (OSError, ELFError, ConstructError, AttributeError):
        return None


def signal_name(number: int) -> str:
    """As signal(7) calls it."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _executable(files: Any, auxiliary: bytes) -> str:
    """The file in whose mapping the program's headers lie (getauxval(3), AT_PHDR)."""
    words = struct.unpack(f"={len(auxiliary) // 8}Q", auxiliary)
    headers = dict(zip(words[::2], words[1::2], strict=True)).get(_AT_PHDR, 0)
    mappings = zip(files.Elf_Nt_File_Entry, files.filename, strict=False)
    inside = (name for at, name in mappings if at.vm_start <= headers < at.vm_end)
    return next(inside, b"").decode(errors="replace")


def _notes(core: ELFFile) -> dict[str, Any]:
    """The first note of every type: of threads, that of the one that died."""
    if core.header.e_type != "ET_CORE":
        raise ELFError("not a core")
    found: dict[str, Any] = {}
    for segment in core.iter_segments("PT_NOTE"):
        for note in segment.iter_notes():
            found.setdefault(note.n_type, note.n_desc)
    return found
