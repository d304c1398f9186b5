"""Marks of impaired devices: written before anything changes, gone only after a verified heal.

They lie on the disk, so that a reboot does not hide that a host was once not healed. A host with
a mark takes part in no run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

MARKS = Path("/var/lib/screamlab/impaired")


@dataclass(frozen=True)
class Mark:
    """A device that is, or may be, impaired.

    `until` is when its dead man heals it, in unix seconds; `tables` names each direction's delay
    distribution, which the kernel does not tell.
    """

    device: str
    until: float
    tables: Mapping[str, str] = field(default_factory=dict)


def path(device: str) -> Path:
    """Where the mark of a device lies."""
    return MARKS / f"{device}.json"


def write(mark: Mark) -> None:
    """Put a mark on the disk, in place of an older one."""
    MARKS.mkdir(parents=True, exist_ok=True)
    draft = path(mark.device).with_suffix(".draft")
    with draft.open("w") as file:
        json.dump(asdict(mark), file)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path(mark.device))


def read(device: str) -> Mark | None:
    """The mark of a device, if it has one; one that cannot be read is a mark all the same."""
    try:
        return Mark(**json.loads(path(device).read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        return Mark(device, 0.0)


def tables(device: str) -> Mapping[str, str]:
    """The delay distribution that each direction of a device was given."""
    mark = read(device)
    return mark.tables if mark else {}


def marked() -> list[str]:
    """The devices that have a mark."""
    return sorted(file.stem for file in MARKS.glob("*.json"))
