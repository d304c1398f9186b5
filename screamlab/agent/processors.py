"""A host's processors: held awake while a run goes on, and taken by one thread before all others.

An idle processor sleeps, the deeper the longer it is idle. A hypervisor that is busy wakes a
virtual one late, by many milliseconds: an audio router then does, as any program there would, what
the machine makes it do, and not what it does itself.
"""

from __future__ import annotations

import os
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


def take(number: int) -> None:
    """Bind the calling thread to a processor, before all else there (sched(7)).

    That is SCHED_FIFO at the highest priority. `OSError` where the kernel refuses it.
    """
    highest = os.sched_param(os.sched_get_priority_max(os.SCHED_FIFO))
    os.sched_setaffinity(0, {number})
    os.sched_setscheduler(0, os.SCHED_FIFO, highest)
