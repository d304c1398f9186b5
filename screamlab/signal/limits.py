"""Where ordinary sound ends and a fault begins, per codec.

Powers are parts of the power of the sound expected. Measured with libopus 1.3 at 128 kbit/s
stereo, 20 ms: one source leaves at most -22 dB unexplained and its phasors stray by at most
-19 dB; four mixed sources leave -16 dB.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """`residual` and `stray` open an event, `sample` is a damaged sample's error in one, `join_s`
    how far apart two damages of one fault can be, `recovery_s` how long a decoder may stumble
    after a loss, `sigma_rad` the phase noise of 40 ms."""

    residual: float
    stray: float
    sample: float
    join_s: float
    recovery_s: float
    sigma_rad: float
    crosstalk_hits: int


LIMITS = {
    "pcm": Limits(
        residual=10**-3.2,
        stray=10**-1.8,
        sample=10**-3.0,
        join_s=0.003,
        recovery_s=0.0,
        sigma_rad=0.01,
        crosstalk_hits=1,
    ),
    "opus": Limits(
        residual=10**-1.65,
        stray=10**-1.1,
        sample=10**-0.8,
        join_s=0.01,
        recovery_s=0.025,
        sigma_rad=0.03,
        crosstalk_hits=2,
    ),
}
# A stream's own steady residual (a lossy link before us, another codec) lifts the limit.
RESIDUAL_HEADROOM = 10**1.2
# A source counts as heard above -34 dB against the signal as sent.
PRESENCE = 10**-3.4
