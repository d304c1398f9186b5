"""What a compiled file says about itself (elf(5))."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.construct import ConstructError
from elftools.elf.elffile import ELFFile

from screamlab.errors import InfraError


@dataclass(frozen=True)
class Elf:
    """A program or library: its build id (hexadecimal, None where it has none), whether it has
    DWARF debug information, and the libraries it needs by their sonames."""

    build_id: str | None
    debug_info: bool
    needed: tuple[str, ...]


def read_elf(path: Path) -> Elf:
    """Read its notes, sections and dynamic entries; `InfraError` where it is no ELF file."""
    try:
        with path.open("rb") as file:
            elf = ELFFile(file)
            notes = elf.get_section_by_name(".note.gnu.build-id")
            dynamic = elf.get_section_by_name(".dynamic")
            return Elf(
                build_id=next((str(n.n_desc) for n in notes.iter_notes()), None) if notes else None,
                debug_info=any(map(elf.get_section_by_name, (".debug_info", ".zdebug_info"))),
                needed=tuple(tag.needed for tag in dynamic.iter_tags("DT_NEEDED"))
                if dynamic
                else (),
            )
    except (OSError, ELFError, ConstructError) as error:
        raise InfraError(f"{path}: is no ELF file that can be read: {error}") from error
