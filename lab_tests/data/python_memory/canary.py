"""A program whose memory is known: what grows with every cycle, what only the collector frees.

Run under the launcher in a folder of its own. It waits for the file `go`, lives through a
quiet stretch, cycles and another quiet stretch, tells in `lived.json` when each was, and ends when
the file `end` is there. With the word `clean` nothing grows.
"""

import json
import sys
import time
from pathlib import Path

try:
    from _testcapi import with_tp_del
except ImportError:  # an interpreter without CPython's own test modules
    with_tp_del = None

TICK_S = 0.1
QUIET, CYCLES, EACH, BLOCK = 15, 30, 3, 1000
MIB = 1 << 20
KEPT = []


class Leaky:
    def __init__(self):
        self.data = bytearray(BLOCK)


class Ring:
    def __init__(self):
        self.me = self


class Passing:
    def __init__(self):
        self.data = bytearray(BLOCK)


if with_tp_del:

    @with_tp_del
    class Stuck:
        def __init__(self):
            self.me = self

        def __tp_del__(self):
            """What has one, and is part of a cycle, the collector cannot free."""


class ConfigurationManager:
    def __init__(self):
        self.held = []

    def add(self, size, *, name="one"):
        """Hold `size` bytes more."""
        block = bytearray(size)
        self.held.append(block)
        return name

    async def wait(self):
        """Nothing."""


def cycle(manager):
    KEPT.extend(Leaky() for _ in range(EACH))
    Ring()
    if with_tp_del:
        Stuck()
    if manager is not None:
        manager.add(MIB)


def main():
    while not Path("go").exists():
        time.sleep(0.02)
    ended = []
    manager = ConfigurationManager() if "hold" in sys.argv else None
    begun = time.time()
    quiet(QUIET)
    churn = time.time()
    for _ in range(CYCLES):
        if "clean" not in sys.argv:
            cycle(manager)
        quiet(1)
        ended.append(time.time())
    quiet(QUIET)
    lived = {"begun": begun, "churn": churn, "cycles": ended, "ended": time.time()}
    Path("lived.part").write_text(json.dumps(lived))
    Path("lived.part").rename("lived.json")
    while not Path("end").exists():
        time.sleep(0.02)


def quiet(ticks):
    for _ in range(ticks):
        passing = Passing()
        time.sleep(TICK_S)
        del passing


if __name__ == "__main__":
    main()
