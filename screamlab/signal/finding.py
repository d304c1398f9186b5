"""What the oracle says: findings about the past, and the status of every source now."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal[
    "dropout",
    "repeat",
    "skip",
    "swap",
    "slip",
    "click",
    "level",
    "silence",
    "noise",
    "channel",
    "crosstalk",
]


@dataclass(frozen=True)
class Finding:
    """One fault of one source as a listener heard it.

    `at` is the arrival time (unix s) of its first sample, `ms` how long it lasted or, for repeat,
    skip and slip, how much sound was heard twice or never. `signal` is the source it concerns;
    -1 where a mix has none to name (click, noise, channel). `detail` depends on the kind:

    dropout    content: "silent" or "concealed"; shift_samples: by how much the sound behind it is
               early (+) or late, absent when it goes on in time
    repeat     samples heard again
    skip       samples never heard
    swap       samples per packet that changed places; ms is that of both
    slip       samples: + when samples are missing, - when there are too many
    click      peak: part of full scale
    level      from_db, to_db: gain against the signal as sent
    silence    content: "silent" or "other"; shift_ms: by how much the sound behind it is early (+)
               or late; open: it never came back
    noise      level_db: unknown sound against one signal as sent
    channel    level_db: left minus right against left plus right
    crosstalk  level_db: gain of a source that is not routed here
    """

    kind: Kind
    signal: int
    at: float
    ms: float
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Status:
    """How a source is heard now; figures are None while it is not heard or not yet known.

    `level_db` is the gain against the signal as sent, `drift_ppm` is positive when the sound
    arrives faster than it was sent, `latency_ms` is arrival minus emission (from -0.4 s, modulo
    the signal's period of 4 s), `residual_db` the unexplained sound against the explained.
    """

    heard: bool
    level_db: float | None = None
    latency_ms: float | None = None
    drift_ppm: float | None = None
    residual_db: float | None = None
