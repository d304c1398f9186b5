"""What the garbage collector finds, and what it cannot free."""

from __future__ import annotations

import gc
from collections import Counter
from typing import Any


class Collector:
    """What the garbage collector finds, and what it cannot free."""

    def __init__(self, save_all: bool) -> None:
        self.save_all = save_all

    def begin(self) -> None:
        """Count from now on."""
        gc.collect()
        self._debug(self.save_all)

    def collect(self) -> dict[str, Any]:
        """Collect; with `save_all` everything found is kept, counted, and let go of again.

        What becomes garbage just then is let go of uncounted.
        """
        known = _types(gc.garbage)
        gc.collect()
        found = _types(gc.garbage) - known
        if self.save_all:
            self._debug(False)
            gc.garbage.clear()
            gc.collect()
            self._debug(True)
        stuck = _types(gc.garbage)
        told: dict[str, Any] = {
            "uncollectable": dict(stuck),
            "collected": sum(generation["collected"] for generation in gc.get_stats()),
        }
        if self.save_all:
            told["cyclic"] = dict(found - (stuck - known))
        return told

    @staticmethod
    def _debug(on: bool) -> None:
        gc.set_debug(gc.DEBUG_SAVEALL if on else 0)


def _types(objects: list[Any]) -> Counter[str]:
    return Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in objects)
