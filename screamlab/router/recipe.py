"""What decides how a built engine turns out, and the cache of those that were built.

A built engine is one tar: the extension modules and libraries of the wheel, as they lie in
site-packages, and last the record that tells what they are.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from screamlab.errors import BadInput

RECORD = "screamlab_build.json"
"""The record's file, at the root of site-packages."""


@dataclass(frozen=True)
class Recipe:
    """All that makes one built engine another than the next.

    `python` is the version (``3.11``) and `machine` the hardware's name of the host it is for.
    """

    commit: str
    submodules: Sequence[str]
    python: str
    machine: str
    packages: Sequence[str]
    python_packages: Sequence[str]
    environment: Mapping[str, Any]
    steps: Sequence[Sequence[Any]]
    cflags: Sequence[str]
    sanitizers: Sequence[str]

    def __post_init__(self) -> None:
        """Raises `BadInput` for sanitizers that do not go together."""
        if {"address", "thread"} <= set(self.sanitizers):
            raise BadInput("the sanitizers address and thread do not go together")

    @property
    def key(self) -> str:
        """Names the engine this makes."""
        told = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    @property
    def flags(self) -> list[str]:
        """The flags of the compilers, which link with them too."""
        return [*self.cflags, *(f"-fsanitize={name}" for name in self.sanitizers)]


def read_record(archive: Path) -> dict[str, Any] | None:
    """What a built engine in the cache tells of itself; None where there is none, or half of one.

    The record is the last of the tar, so whoever reads it has seen that the tar is whole.
    """
    try:
        with tarfile.open(archive) as tar:
            file = tar.extractfile(RECORD)
            assert file is not None
            record = json.loads(file.read())
    except (OSError, EOFError, tarfile.TarError, zlib.error, KeyError, ValueError):
        return None
    assert isinstance(record, dict)
    return record
