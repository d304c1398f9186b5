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
        """Collect; with `save_all` everything found is kept, counted, and let go of again."""
        known = _types(gc.garbage)
        gc.collect()
        told: dict[str, Any] = {}
        if self.save_all:
            told["cyclic"] = dict(_types(gc.garbage) - known)
            self._debug(False)
            gc.garbage.clear()
            gc.collect()
            self._debug(True)
        told["uncollectable"] = dict(_types(gc.garbage))
        told["collected"] = sum(generation["collected"] for generation in gc.get_stats())
        return told

    @staticmethod
    def _debug(on: bool) -> None:
        gc.set_debug(gc.DEBUG_SAVEALL if on else 0)


def _types(objects: list[Any]) -> Counter[str]:
    return Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in objects)
