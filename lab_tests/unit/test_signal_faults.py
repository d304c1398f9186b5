"""Faults of known size, planted in clean streams: each is found, once, with its size and place."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from screamlab.signal import Finding, Oracle, signal

RATE = 48000
PACKET = 288
FRAME = 960
ZERO = 1_000.0
HEARD = 3
STRANGER = 40
AT = 3 * RATE + 17


OPUS_SET = {"bitrate": 4002, "complexity": 4010, "inband_fec": 4012, "packet_loss_percent": 4014}


class Opus:
    """libopus 1.x through ctypes: 48 kHz stereo, 20 ms, 128 kbit/s unless `requests` differ."""

    def __init__(self, **requests: int) -> None:
        try:
            self._lib = ctypes.CDLL("libopus.so.0")
        except OSError:
            # Only machines without Debian's libopus0; `make test` installs it.
            pytest.skip("libopus.so.0 is not installed")
        for create in (self._lib.opus_encoder_create, self._lib.opus_decoder_create):
            create.restype = ctypes.c_void_p
        error = ctypes.c_int()
        audio, bitrate_request = 2049, 4002
        self._encoder = ctypes.c_void_p(
            self._lib.opus_encoder_create(RATE, 2, audio, ctypes.byref(error))
        )
        self._decoder = ctypes.c_void_p(self._lib.opus_decoder_create(RATE, 2, ctypes.byref(error)))
        self._lib.opus_encoder_ctl(self._encoder, bitrate_request, ctypes.c_int(128_000))
        for name, value in requests.items():
            self._lib.opus_encoder_ctl(self._encoder, OPUS_SET[name], ctypes.c_int(value))

    def encode(self, samples: np.ndarray) -> list[bytes]:
        packets = []
        buffer = ctypes.create_string_buffer(4000)
        for first in range(0, len(samples) - FRAME + 1, FRAME):
            frame = np.ascontiguousarray(samples[first : first + FRAME])
            size = self._lib.opus_encode(
                self._encoder, frame.ctypes.data_as(ctypes.c_void_p), FRAME, buffer, 4000
            )
            assert size > 0
            packets.append(buffer.raw[:size])
        return packets

    def decode(self, packets: list[bytes | None]) -> np.ndarray:
        """None stands for a lost packet, which the decoder conceals."""
        frames = []
        for packet in packets:
            frame = np.empty((FRAME, 2), np.int16)
            target = frame.ctypes.data_as(ctypes.c_void_p)
            size = len(packet) if packet else 0
            assert self._lib.opus_decode(self._decoder, packet, size, target, FRAME, 0) == FRAME
            frames.append(frame)
        return np.concatenate(frames)


def stereo(mono: np.ndarray) -> np.ndarray:
    return np.repeat(np.rint(mono * 32768).astype(np.int16)[:, None], 2, axis=1)


def through(codec: str, samples: np.ndarray) -> np.ndarray:
    if codec == "pcm":
        return samples
    opus = Opus()
    return opus.decode(list(opus.encode(samples)))


@cache
def clean(codec: str, *hears: int, seconds: int = 6) -> np.ndarray:
    mono = sum(signal(index).render(0, seconds * RATE) for index in hears)
    return through(codec, stereo(np.asarray(mono)))


def listen(
    samples: np.ndarray, codec: str, *hears: int, chunk: int = PACKET
) -> tuple[list[Finding], Oracle]:
    oracle = Oracle(hears, foreign=[STRANGER, 41], codec=codec, epoch=ZERO)
    findings = []
    for first in range(0, len(samples), chunk):
        findings += oracle.feed(samples[first : first + chunk], ZERO + first / RATE)
    oracle.status(ZERO + len(samples) / RATE)
    return findings + oracle.close(ZERO + len(samples) / RATE), oracle


def zeroed(length: int) -> Callable[[np.ndarray], np.ndarray]:
    def plant(sound: np.ndarray) -> np.ndarray:
        damaged = sound.copy()
        damaged[AT : AT + length] = 0
        return damaged

    return plant


def lost(sound: np.ndarray) -> np.ndarray:
    return np.concatenate([sound[:AT], sound[AT + PACKET :]])


def inserted(sound: np.ndarray) -> np.ndarray:
    return np.concatenate([sound[:AT], sound[AT - PACKET :]])


def played_again(sound: np.ndarray) -> np.ndarray:
    damaged = sound.copy()
    damaged[AT : AT + PACKET] = sound[AT - PACKET : AT]
    return damaged


def one_missing(sound: np.ndarray) -> np.ndarray:
    return np.concatenate([sound[:AT], sound[AT + 1 :]])


def one_too_many(sound: np.ndarray) -> np.ndarray:
    return np.concatenate([sound[:AT], sound[AT - 1 :]])


def swapped(sound: np.ndarray) -> np.ndarray:
    damaged = sound.copy()
    middle, end = AT + PACKET, AT + 2 * PACKET
    damaged[AT:middle], damaged[middle:end] = sound[middle:end], sound[AT:middle]
    return damaged


def underrun(sound: np.ndarray) -> np.ndarray:
    return np.concatenate([sound[:AT], np.zeros((480, 2), np.int16), sound[AT:]])


def clicked(sound: np.ndarray) -> np.ndarray:
    damaged = sound.copy()
    damaged[AT] += 4000
    return damaged


def halved(sound: np.ndarray) -> np.ndarray:
    return np.concatenate([sound[:AT], sound[AT:] // 2])


@dataclass(frozen=True)
class Fault:
    plant: Callable[[np.ndarray], np.ndarray]
    kind: str
    ms: float
    detail: dict[str, object]


FAULTS = {
    "gap of 1 ms": Fault(zeroed(48), "dropout", 1.0, {"content": "silent"}),
    "lost packet, filled with zeros": Fault(zeroed(288), "dropout", 6.0, {"content": "silent"}),
    "lost packet, cut out": Fault(lost, "skip", 6.0, {"samples": 288}),
    "repeated packet, inserted": Fault(inserted, "repeat", 6.0, {"samples": 288}),
    "repeated packet, in place": Fault(played_again, "repeat", 6.0, {"samples": 288}),
    "one sample missing": Fault(one_missing, "slip", 0.0, {"samples": 1}),
    "one sample too many": Fault(one_too_many, "slip", 0.0, {"samples": -1}),
    "two packets swapped": Fault(swapped, "swap", 12.0, {"samples": 288}),
    "10 ms of zeros inserted": Fault(underrun, "dropout", 10.0, {"shift_samples": -480}),
    "click": Fault(clicked, "click", 0.0, {}),
    "half as loud": Fault(halved, "level", 0.0, {"from_db": 0.0, "to_db": -6.0}),
    "silence of 0.5 s": Fault(zeroed(24000), "silence", 500.0, {"shift_ms": 0.0}),
}


def assert_found(finding: Finding, fault: Fault, delay: int = 0) -> None:
    assert finding.kind == fault.kind
    assert finding.ms == pytest.approx(fault.ms, abs=0.15)
    assert finding.at == pytest.approx(ZERO + (AT + delay) / RATE, abs=2e-4)
    for key, value in fault.detail.items():
        expected = value if isinstance(value, str) else pytest.approx(value, abs=0.4)
        assert finding.detail[key] == expected


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("codec", ["pcm", "opus"])
def test_a_fault_gives_one_finding(codec, name):
    fault = FAULTS[name]
    findings, _ = listen(fault.plant(clean(codec, HEARD)), codec, HEARD)
    assert len(findings) == 1, findings
    assert findings[0].signal == HEARD
    assert_found(findings[0], fault)


@pytest.mark.parametrize("codec", ["pcm", "opus"])
def test_a_clean_stream_gives_none(codec):
    findings, oracle = listen(clean(codec, HEARD), codec, HEARD)
    assert findings == []
    status = oracle.status(ZERO + 6)[HEARD]
    delay_ms = 6.5 if codec == "opus" else 0.0
    assert status.heard
    assert status.level_db == pytest.approx(0.0, abs=0.1)
    assert status.latency_ms == pytest.approx(delay_ms, abs=0.01)
    assert status.drift_ppm == pytest.approx(0.0, abs=0.5)


@pytest.mark.parametrize("name", ["lost packet, cut out", "one sample missing"])
@pytest.mark.parametrize("codec", ["pcm", "opus"])
def test_a_fault_behind_the_mixer_concerns_every_source(codec, name):
    fault = FAULTS[name]
    findings, _ = listen(fault.plant(clean(codec, 3, 4, 5)), codec, 3, 4, 5)
    assert sorted(finding.signal for finding in findings) == [3, 4, 5]
    for finding in findings:
        assert_found(finding, fault)


@pytest.mark.parametrize("name", [name for name in FAULTS if name != "click"])
@pytest.mark.parametrize("codec", ["pcm", "opus"])
def test_a_fault_before_the_mixer_concerns_one_source(codec, name):
    fault = FAULTS[name]
    damaged = fault.plant(clean("pcm", 4))[: 6 * RATE]
    others = clean("pcm", 3, 5)[: len(damaged)]
    findings, _ = listen(through(codec, damaged + others), codec, 3, 4, 5)
    assert [finding.signal for finding in findings] == [4], findings
    found = findings[0]
    assert found.kind == fault.kind
    assert found.ms == pytest.approx(fault.ms, abs=0.5)


@pytest.mark.parametrize("codec", ["pcm", "opus"])
def test_a_stranger_at_minus_40_db_is_named(codec):
    mono = signal(HEARD).render(0, 8 * RATE)
    mono[2 * RATE : 7 * RATE] += signal(STRANGER).render(2 * RATE, 5 * RATE) / 100
    findings, _ = listen(through(codec, stereo(mono)), codec, HEARD)
    assert [(finding.kind, finding.signal) for finding in findings] == [("crosstalk", STRANGER)]
    assert findings[0].detail["level_db"] == pytest.approx(-40, abs=1.5)
    assert findings[0].at == pytest.approx(ZERO + 2, abs=1.1)
    assert findings[0].ms == pytest.approx(5000, abs=1200)


@pytest.mark.parametrize("ppm", [100, -100])
@pytest.mark.parametrize("codec", ["pcm", "opus"])
def test_drift_is_measured_and_no_fault(codec, ppm):
    seconds = np.arange(6 * RATE) / RATE * (1 + ppm * 1e-6)
    tones = np.array(signal(HEARD).frequencies_hz)
    mono = 0.025 * np.sin(2 * np.pi * np.outer(seconds, tones)).sum(axis=1)
    findings, oracle = listen(through(codec, stereo(mono)), codec, HEARD)
    assert findings == []
    assert oracle.status(ZERO + 6)[HEARD].drift_ppm == pytest.approx(ppm, abs=1)


@pytest.mark.parametrize("index", [3, 9, 63, 81])
def test_a_lost_opus_packet_is_found_behind_the_concealment(index):
    opus = Opus()
    packets: list[bytes | None] = list(opus.encode(clean("pcm", index, seconds=8)))
    gone = range(100, 380, 35)
    for number in gone:
        packets[number] = None
    findings, _ = listen(opus.decode(packets), "opus", index)
    assert [finding.kind for finding in findings] == ["dropout"] * len(gone)
    for finding, number in zip(findings, gone, strict=True):
        assert finding.at == pytest.approx(ZERO + number * 0.02, abs=0.022)
        assert finding.ms <= 40


@pytest.mark.parametrize("codec", ["pcm", "opus"])
def test_a_clean_hour_gives_no_alarm(codec):
    period = looped(codec, HEARD)
    oracle = Oracle([HEARD], foreign=[STRANGER, 41, 42], codec=codec, epoch=0.0)
    findings = []
    for second in range(3600):
        first = second * RATE % len(period)
        findings += oracle.feed(period[first : first + RATE], float(second))
        if second % 60 == 59:
            assert oracle.status(second + 1.0)[HEARD].heard
    assert findings + oracle.close(3600.0) == []


def looped(codec: str, index: int) -> np.ndarray:
    """Sound that can be played in a loop: 20 s of packets, decoded for the second time."""
    sound = clean("pcm", index, seconds=24)
    if codec == "pcm":
        return sound[: 20 * RATE]
    opus = Opus()
    packets = list(opus.encode(sound))[-20 * RATE // FRAME :]
    opus.decode(list(packets))
    return opus.decode(list(packets))


@pytest.mark.parametrize("index", [0, 7, 90])
def test_a_coder_that_turns_phases_leaves_the_latency_unknown(index):
    samples = stereo(signal(index).render(0, 6 * RATE))
    hybrid = Opus(bitrate=192_000, complexity=3, inband_fec=1, packet_loss_percent=10)
    for opus, known in ((Opus(), True), (hybrid, False)):
        oracle = Oracle([index], codec="opus")
        heard = opus.decode(list(opus.encode(samples)))
        for first in range(0, len(heard), PACKET):
            oracle.feed(heard[first : first + PACKET], first / RATE)
        status = oracle.status(len(heard) / RATE)[index]
        assert status.heard
        assert (status.latency_ms is not None) is known
