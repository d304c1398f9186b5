"""What the sampler costs, measured side by side with the obvious way of doing the same."""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from screamlab.evidence.spool import Spool
from screamlab.observe.sampler import Sampler, SamplerSpec, Watched

_FIGURES = ["cpu_times", "memory_full_info", "num_threads", "num_fds", "num_ctx_switches"]


def measure(seconds: int = 10, processes: int = 50) -> dict[str, Any]:
    """Watch `processes` sleeping processes once a second for `seconds`, in both ways.

    Percentages are of one processor: `sampler_percent` with everything this package records
    (lines written included), `psutil_percent` for `psutil.process_iter` reading CPU, USS/PSS,
    threads, descriptors, sockets and context switches of the same processes, nothing written.
    `ratio` is how many times cheaper the sampler is.
    """
    sleepers = [subprocess.Popen(["sleep", "infinity"]) for _ in range(processes)]
    pids = {sleeper.pid for sleeper in sleepers}
    watched = tuple(Watched(name=f"sleeper{pid}", pid=pid) for pid in pids)
    try:
        with tempfile.TemporaryDirectory() as folder:
            spool = Spool(Path(folder), writer="bench", host="bench")
            sampler = Sampler(SamplerSpec(processes=watched), spool)
            own_s, naive_s = _take_turns(sampler, pids, seconds)
            sampler.close()
            spool.close()
    finally:
        for sleeper in sleepers:
            sleeper.kill()
            sleeper.wait()
    return {
        "processes": processes,
        "seconds": seconds,
        "sampler_percent": round(100 * own_s / seconds, 3),
        "psutil_percent": round(100 * naive_s / seconds, 3),
        "ratio": round(naive_s / own_s, 2),
    }


def _take_turns(sampler: Sampler, pids: set[int], seconds: int) -> tuple[float, float]:
    sampler.sample()
    _psutil_sample(pids)
    own_s = naive_s = 0.0
    began_s = time.monotonic()
    for second in range(1, seconds + 1):
        time.sleep(max(0.0, began_s + second - time.monotonic()))
        before_s = time.process_time()
        sampler.sample()
        between_s = time.process_time()
        _psutil_sample(pids)
        own_s += between_s - before_s
        naive_s += time.process_time() - between_s
    return own_s, naive_s


def _psutil_sample(pids: set[int]) -> list[dict[str, Any]]:
    return [
        process.as_dict(_FIGURES) | {"sockets": len(process.net_connections("all"))}
        for process in psutil.process_iter()
        if process.pid in pids
    ]
