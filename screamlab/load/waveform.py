"""A signal's audio as the bytes of its packets: rendered once, then only sliced."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from screamlab.signal.tones import PERIOD_SAMPLES, signal


@dataclass(frozen=True)
class Waveform:
    """One period of 16-bit PCM, and enough of the next that any packet is a single slice."""

    audio: memoryview
    frame_bytes: int

    def packet(self, sample: int, frames: int) -> memoryview:
        """The PCM of `frames` frames from plan sample `sample` on."""
        start = sample % PERIOD_SAMPLES * self.frame_bytes
        return self.audio[start : start + frames * self.frame_bytes]


def waveform(index: int, *, channels: int, big_endian: bool, packet_frames: int) -> Waveform:
    """Render signal `index` at 48 kHz with the same audio on every channel."""
    mono = signal(index).render(0, PERIOD_SAMPLES + packet_frames)
    words = np.clip(np.rint(mono * 32767.0), -32768, 32767).astype(">i2" if big_endian else "<i2")
    audio = np.repeat(words, channels).tobytes()
    return Waveform(memoryview(audio), 2 * channels)
