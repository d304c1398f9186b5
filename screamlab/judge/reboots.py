"""Hosts that rebooted in the middle of a run, and the holes this left in what is known of them."""

from __future__ import annotations

import numpy as np

from screamlab.judge.view import Run
from screamlab.judge.windows import Window

# A worker begins anew within this time of its agent's return, and its stream is heard again.
SETTLE_S = 6.0


def holes(run: Run, host: str) -> list[Window]:
    """From the last sign of a host before each reboot to when its workers were at work again."""
    seen = np.sort(run.series("host", "cpu_percent", host).t)
    found = []
    for event in run.events("agent.start"):
        if event.host == host and event.fields.get("rejoins"):
            before = seen[seen < event.at_s]
            found.append(Window(float(before[-1]) if len(before) else 0.0, event.at_s + SETTLE_S))
    return found
