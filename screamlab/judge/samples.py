"""What was measured and what happened, on the plan's clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from screamlab.judge.windows import Windows, inside


@dataclass(frozen=True)
class Samples:
    """One metric of one subject: `t` in seconds on the plan's clock, `value` in its unit."""

    t: NDArray[np.float64]
    value: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.t)

    def within(self, windows: Windows) -> Samples:
        """Only the samples taken in `windows`."""
        mask = inside(self.t, windows)
        return Samples(self.t[mask], self.value[mask])

    def first_above(self, limit: float) -> float | None:
        """When the value first exceeded `limit`; None for never."""
        above = self.t[self.value > limit]
        return float(above[0]) if len(above) else None

    def first_below(self, limit: float) -> float | None:
        """When the value first was less than `limit`; None for never."""
        return Samples(self.t, -self.value).first_above(-limit)

    def growth(self) -> Samples:
        """How much a cumulative counter grew up to each sample; a restart at zero is no loss."""
        if len(self) == 0:
            return self
        steps = np.diff(self.value, prepend=self.value[:1])
        return Samples(self.t, np.where(steps >= 0, steps, self.value))


NOTHING = Samples(np.empty(0), np.empty(0))


@dataclass(frozen=True)
class Event:
    """Something that happened at `at_s` on the plan's clock."""

    at_s: float
    host: str
    kind: str
    subject: str
    fields: dict[str, Any]
