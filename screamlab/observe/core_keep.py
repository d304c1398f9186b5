"""Keeping a core: the stacks of its threads and, compressed and of bounded size, itself."""

from __future__ import annotations

import contextlib
import lzma
from pathlib import Path
from typing import Any

from screamlab.errors import InfraError
from screamlab.observe.core_place import Found, Place
from screamlab.observe.tools import GDB_OF_CORE

AT_MOST = 8
"""Cores of one run and host that are kept; later ones are told and removed."""

LARGEST_MIB = 256
"""A compressed core that would be larger is left out; its stacks are kept."""

_CHUNK = 1 << 20


def keep(place: Place, found: Found, directory: Path, number: int) -> dict[str, Any]:
    """Put stacks and core of a crash, the `number`-th of a run, into `directory`.

    Returns `files`, `core_bytes` (before compression) and, where something is missing, `error`.
    """
    name = file_name(found)
    raw, packed = directory / f".{name}", directory / f"{name}-core.xz"
    stacks = directory / f"{name}-stacks.txt"
    errors: list[str] = []
    files: list[str] = []
    size = 0
    try:
        if number > AT_MOST:
            place.remove(found)
            raise InfraError(f"only the first {AT_MOST} cores are kept")
        place.take(found, raw)
        size = raw.stat().st_size
        error = GDB_OF_CORE.take(stacks, executable=found.core.executable, core=raw)
        if error:
            errors.append(f"gdb: {error}")
        files += [stacks.name] if stacks.exists() else []
        compress(raw, packed, LARGEST_MIB << 20)
        files.append(packed.name)
    except InfraError as error:
        errors.append(str(error))
    except OSError as error:
        errors.append(f"the core is left out: {error.strerror}")
    finally:
        with contextlib.suppress(OSError):
            raw.unlink(missing_ok=True)
    told = {"error": "; ".join(errors)} if errors else {}
    return {"files": files, "core_bytes": size, **told}


def kept_so_far(found: Found, directory: Path) -> dict[str, Any]:
    """The same of a crash for which there was not time enough."""
    files = sorted(file.name for file in directory.glob(f"{file_name(found)}-*"))
    return {"files": files, "error": "the run was over before all of it was kept"}


def file_name(found: Found) -> str:
    """What the names of a crash's files begin with."""
    return f"crash-{found.t:.0f}-{found.core.pid}"


def compress(source: Path, target: Path, largest_bytes: int) -> None:
    """Compress a file fast; `InfraError`, and no target, when it would be larger than that."""
    try:
        with source.open("rb") as file, target.open("wb") as output:
            packer = lzma.LZMACompressor(preset=0)
            while chunk := file.read(_CHUNK):
                output.write(packer.compress(chunk))
                if output.tell() > largest_bytes:
                    raise InfraError(
                        f"the core is left out: it is more than {largest_bytes >> 20} MiB "
                        "compressed"
                    )
            output.write(packer.flush())
    except BaseException:
        target.unlink(missing_ok=True)
        raise
