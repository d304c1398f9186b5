"""What the oracle makes of whole streams: rates, chunks, gaps in arrival, odd input."""

from __future__ import annotations

import numpy as np
import pytest

from screamlab.signal import Finding, Oracle, signal

RATE = 48000
ZERO = 1_000.0


def stereo(mono: np.ndarray) -> np.ndarray:
    return np.repeat(np.rint(mono * 32768).astype(np.int16)[:, None], 2, axis=1)


def played(index: int, seconds: float, first: int = 0) -> np.ndarray:
    return stereo(signal(index).render(first, int(seconds * RATE)))


def feed(oracle: Oracle, samples: np.ndarray, arrival: float, chunk: int = 288) -> list[Finding]:
    findings = []
    for first in range(0, len(samples), chunk):
        findings += oracle.feed(samples[first : first + chunk], arrival + first / RATE)
    return findings


@pytest.mark.parametrize("chunk", [1, 7, 288, 960, 48000, 10**6])
def test_any_chunk_size_gives_the_same_findings(chunk):
    sound = played(9, 2)
    sound[60_000:60_288] = 0
    oracle = Oracle([9], epoch=ZERO)
    findings = feed(oracle, sound, ZERO, chunk) + oracle.close(ZERO + 2)
    assert [(f.kind, f.ms) for f in findings] == [("dropout", 6.0)]
    assert findings[0].at == pytest.approx(ZERO + 60_000 / RATE, abs=1e-4)


def test_lock_comes_within_a_fifth_of_a_second():
    oracle = Oracle([9], epoch=ZERO)
    sound = played(9, 0.2)
    assert not oracle.status(ZERO)[9].heard
    feed(oracle, sound, ZERO)
    assert oracle.status(ZERO + 0.2)[9].heard


@pytest.mark.parametrize("late_s", [-0.3, 0.0, 0.0213, 1.9, 3.5])
def test_latency_is_arrival_minus_emission(late_s):
    oracle = Oracle([9], epoch=ZERO)
    feed(oracle, played(9, 2, first=12_345), ZERO + 12_345 / RATE + late_s)
    status = oracle.status(ZERO + 12_345 / RATE + late_s + 2)[9]
    assert status.latency_ms == pytest.approx(late_s * 1e3, abs=0.01)


def test_a_stream_of_44100_hz():
    seconds = np.arange(4 * 44_100) / 44_100
    tones = np.array(signal(9).frequencies_hz)
    sound = stereo(0.025 * np.sin(2 * np.pi * np.outer(seconds, tones)).sum(axis=1))
    sound[100_000:100_441] = 0
    oracle = Oracle([9], rate_hz=44_100, epoch=ZERO)
    findings = []
    for first in range(0, len(sound), 441):
        findings += oracle.feed(sound[first : first + 441], ZERO + first / 44_100)
    status = oracle.status(ZERO + 4)[9]
    assert [(f.kind, round(f.ms)) for f in findings + oracle.close(ZERO + 4)] == [("dropout", 10)]
    assert status.latency_ms == pytest.approx(0, abs=0.01)
    assert status.drift_ppm == pytest.approx(0, abs=0.1)


def test_nothing_arriving_is_silence():
    oracle = Oracle([9], epoch=ZERO)
    feed(oracle, played(9, 2), ZERO)
    findings = oracle.idle(ZERO + 2.05) + oracle.idle(ZERO + 2.3) + oracle.idle(ZERO + 2.6)
    assert not oracle.status(ZERO + 2.6)[9].heard
    findings += feed(oracle, played(9, 2, first=3 * RATE), ZERO + 3)
    assert oracle.status(ZERO + 5)[9].heard
    findings += oracle.close(ZERO + 5)
    assert [f.kind for f in findings] == ["silence"]
    assert findings[0].at == pytest.approx(ZERO + 2, abs=1e-3)
    assert findings[0].ms == pytest.approx(1000, abs=1)
    assert findings[0].detail["shift_ms"] == pytest.approx(0, abs=1)


def test_an_hour_without_a_call_is_one_silence():
    oracle = Oracle([9], epoch=ZERO)
    feed(oracle, played(9, 2), ZERO)
    findings = feed(oracle, played(9, 2), ZERO + 3602) + oracle.close(ZERO + 3604)
    assert [f.kind for f in findings] == ["silence"]
    assert findings[0].at == pytest.approx(ZERO + 2, abs=1e-3)
    assert findings[0].ms == pytest.approx(3_600_000, abs=1)


def test_a_source_that_never_comes_back_is_reported_at_the_end():
    oracle = Oracle([9], epoch=ZERO)
    findings = feed(oracle, np.concatenate([played(9, 2), np.zeros((RATE, 2), np.int16)]), ZERO)
    assert not oracle.status(ZERO + 3)[9].heard
    assert findings == []
    findings = oracle.close(ZERO + 3)
    assert [(f.kind, round(f.ms), f.detail["open"]) for f in findings] == [("silence", 1000, True)]


def test_a_restart_elsewhere_in_the_signal_is_one_finding():
    gap = np.zeros((RATE // 2, 2), np.int16)
    sound = np.concatenate([played(9, 2), gap, played(9, 2, first=77_777)])
    oracle = Oracle([9], epoch=ZERO)
    findings = feed(oracle, sound, ZERO) + oracle.close(ZERO + 4.5)
    assert [(f.kind, f.ms) for f in findings] == [("silence", 500.0)]
    moved_ms = (77_777 - 2.5 * RATE) / RATE * 1e3
    assert findings[0].detail["shift_ms"] == pytest.approx(moved_ms, abs=0.01)


def test_one_source_of_a_mix_may_come_and_go():
    mix = played(9, 4)
    mix[RATE : 3 * RATE] += played(10, 2, first=RATE)
    oracle = Oracle([9, 10], epoch=ZERO)
    findings = feed(oracle, mix[: 2 * RATE], ZERO)
    assert oracle.status(ZERO + 2)[10].heard
    findings += feed(oracle, mix[2 * RATE :], ZERO + 2)
    status = oracle.status(ZERO + 4)
    assert (status[9].heard, status[10].heard) == (True, False)
    findings += oracle.close(ZERO + 4)
    assert [(f.kind, f.signal) for f in findings] == [("silence", 10)]
    assert findings[0].at == pytest.approx(ZERO + 3, abs=1e-3)


def test_lost_packets_are_counted_one_by_one():
    sound = played(9, 10)
    random = np.random.default_rng(1)
    lost = [n for n in range(60, len(sound) // 288 - 20) if random.random() < 0.05]
    for number in lost:
        sound[number * 288 : number * 288 + 288] = 0
    oracle = Oracle([9], epoch=ZERO)
    findings = feed(oracle, sound, ZERO) + oracle.close(ZERO + 10)
    assert {f.kind for f in findings} == {"dropout"}
    assert sum(f.ms for f in findings) == pytest.approx(6 * len(lost), abs=0.5)


# Tones of neighbours in the table lie closest together.
@pytest.mark.parametrize("neighbour", [69, 70, 10])
@pytest.mark.parametrize("gain", [0.1, 0.5, 1.0])
def test_a_loud_stranger_is_crosstalk_and_nothing_else(gain, neighbour):
    sound = played(9, 6)
    stranger = signal(neighbour).render(2 * RATE, 2 * RATE) * gain
    sound[2 * RATE : 4 * RATE] += stereo(stranger)
    oracle = Oracle([9], foreign=[10, 69, 70, 71], epoch=ZERO)
    findings = feed(oracle, sound, ZERO) + oracle.close(ZERO + 6)
    assert [(f.kind, f.signal) for f in findings] == [("crosstalk", neighbour)]
    assert findings[0].detail["level_db"] == pytest.approx(20 * np.log10(gain), abs=1)


def test_only_the_wrong_source():
    oracle = Oracle([9], foreign=[8, 10], epoch=ZERO)
    feed(oracle, played(10, 3), ZERO)
    assert not oracle.status(ZERO + 3)[9].heard
    assert list(oracle.crosstalk()) == [10]
    assert [(f.kind, f.signal) for f in oracle.close(ZERO + 3)] == [("crosstalk", 10)]


def test_unknown_noise_is_one_finding():
    sound = played(9, 6)
    random = np.random.default_rng(0)
    noise = random.normal(0, 300, 2 * RATE).astype(np.int16)
    sound[2 * RATE : 4 * RATE] += noise[:, None]
    oracle = Oracle([9], epoch=ZERO)
    findings = feed(oracle, sound, ZERO) + oracle.close(ZERO + 6)
    assert [f.kind for f in findings] == ["noise"]
    assert findings[0].at == pytest.approx(ZERO + 2, abs=0.02)


def test_a_dead_channel_is_found():
    sound = played(9, 8)
    sound[2 * RATE : 6 * RATE, 1] = 0
    oracle = Oracle([9], epoch=ZERO)
    findings = feed(oracle, sound, ZERO) + oracle.close(ZERO + 8)
    assert [f.kind for f in findings] == ["channel"]


@pytest.mark.parametrize(
    "odd",
    [
        np.empty((0, 2), np.int16),
        np.zeros((5000, 2), np.int16),
        np.full((5000, 2), 32767, np.int16),
        np.full((5000, 2), -32768, np.int16),
        np.zeros((5000, 1), np.int16),
        np.zeros(5000, np.int16),
        np.zeros((5000, 6), np.int16),
        np.zeros((1, 2), np.int16),
        np.random.default_rng(0).integers(-32768, 32767, (20_000, 2)).astype(np.int16),
    ],
    ids=["empty", "silent", "full", "bottom", "mono", "flat", "six", "single", "random"],
)
def test_odd_input_is_survived(odd):
    oracle = Oracle([9, 10], foreign=[11], epoch=ZERO)
    mix = played(9, 1) + played(10, 1)
    oracle.feed(odd, ZERO)
    feed(oracle, mix, ZERO + 1)
    oracle.feed(odd, ZERO + 2)
    feed(oracle, mix, ZERO + 3)
    status = oracle.status(ZERO + 4)
    assert all(one.heard for one in status.values())
    oracle.close(ZERO + 4)


def test_nothing_at_all():
    oracle = Oracle([], epoch=ZERO)
    assert oracle.idle(ZERO) == []
    assert oracle.feed(np.zeros((RATE * 2, 2), np.int16), ZERO) == []
    assert oracle.status(ZERO) == {}
    assert oracle.close(ZERO + 9) == []
