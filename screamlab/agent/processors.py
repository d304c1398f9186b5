"""Holds a host's processors awake while a run goes on, where its inventory asks for it.

An idle processor sleeps, the deeper the longer it is idle. A hypervisor that is busy wakes a
virtual one late, by many milliseconds: an audio router then does, as any program there would, what
the machine makes it do, and not what it does itself.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from screamlab.errors import InfraError

# Linux, Documentation/power/pm_qos_interface.rst: a request is as old as its open file.
DEVICE = Path("/dev/cpu_dma_latency")


@contextmanager
def held(wakeup_latency_us: int | None, device: Path = DEVICE) -> Iterator[None]:
    """Let no processor sleep so deep that it wakes up later than that; 0: not at all.

    It ends with the process at the latest, however that ends. `InfraError` where the kernel takes
    no such request; None asks for nothing.
    """
    if wakeup_latency_us is None:
        yield
        return
    try:
        request = device.open("r+b", buffering=0)
        request.write(struct.pack("i", wakeup_latency_us))
    except OSError as error:
        raise InfraError(f"{device}: {error.strerror}; processors are not held awake") from error
    with request:
        yield
