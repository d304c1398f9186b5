"""A disk without room."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Literal

import psutil

from screamlab.agent.context import WorkerContext
from screamlab.errors import InfraError
from screamlab.inject.fault import Fault, Place

# On the disk that has the spools.
BALLAST = Path("/var/lib/screamlab/ballast")
_SLICE_BYTES = 64 << 20
_PAUSE_S = 0.01


class Disk(Fault):
    """The disk that the host's agent writes to is full, but for less than a page."""

    kind: Literal["disk"]

    def plant(self, place: Place, context: WorkerContext) -> None:
        """See `Fault.plant`."""
        with BALLAST.open("wb", buffering=0) as ballast:
            size = 0
            while free := shutil.disk_usage(BALLAST.parent).free:
                # The disk of a virtual host is memory of the machine that carries it.
                if free > psutil.virtual_memory().available // 2:
                    raise InfraError(f"fault {self.name}: to fill {free >> 20} MiB is too much")
                more = min(free, _SLICE_BYTES)
                os.posix_fallocate(ballast.fileno(), size, more)
                size += more
                if not context.sleep_until(context.now_s() + _PAUSE_S):
                    return
            context.sleep_until(context.to_s)

    def undo(self, place: Place) -> None:
        """See `Fault.undo`."""
        BALLAST.unlink(missing_ok=True)
