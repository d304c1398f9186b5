"""The pacer on the real clock: every packet once, in order, and lateness told."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from screamlab.agent.context import WorkerContext
from screamlab.evidence.spool import Spool, read_lines
from screamlab.load.pacing import Pacer, Track, TrackEnded, grid, percentile_ms

STEP = 288


class Recorder:
    """A track that notes what it was told to send."""

    def __init__(self, at_packet: dict[int, Callable[[], None]] | None = None) -> None:
        self.samples: list[int] = []
        self.reasons: list[str | None] = []
        self._at_packet = at_packet or {}

    def emit(self, sample: int) -> int:
        self.samples.append(sample)
        self._at_packet.get(len(self.samples), lambda: None)()
        return 1164

    def track(self, first: int, end: int) -> Track:
        return Track("s", first, end, STEP, self.emit, self.reasons.append)


def context(folder: Path) -> WorkerContext:
    spool = Spool(folder, writer="w", host="h")
    return WorkerContext("w", "h", time.time(), 0.0, 60.0, spool, folder)


def events(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [one for one in read_lines(folder / "events-w.jsonl").records if one["kind"] == kind]


def test_every_packet_of_the_window_is_sent_once_and_in_order(tmp_path: Path) -> None:
    recorder = Recorder()

    Pacer(context(tmp_path), [recorder.track(480, 480 + 40 * STEP)]).run()

    assert recorder.samples == list(range(480, 480 + 40 * STEP, STEP))
    assert recorder.reasons == [None]
    (last,) = read_lines(tmp_path / "series-w.jsonl").records[-1:]
    assert last["subject"] == "sender/s"
    assert last["values"]["packets"] == 40
    assert last["values"]["bytes"] == 40 * 1164
    assert 0 <= last["values"]["pacing_p50_ms"] <= last["values"]["pacing_max_ms"]


def test_no_packet_leaves_before_its_time(tmp_path: Path) -> None:
    early: list[float] = []
    worker = context(tmp_path)
    recorder = Recorder()

    def emit(sample: int) -> int:
        early.append(worker.zero + sample / 48000 - time.time())
        return recorder.emit(sample)

    Pacer(worker, [Track("s", 0, 30 * STEP, STEP, emit, recorder.reasons.append)]).run()

    # The two clocks are read one after the other, which is all they may differ by.
    assert max(early) < 0.0005


def test_a_stall_is_sent_late_and_reported(tmp_path: Path) -> None:
    recorder = Recorder({10: lambda: time.sleep(0.2)})

    Pacer(context(tmp_path), [recorder.track(0, 60 * STEP)]).run()

    assert recorder.samples == list(range(0, 60 * STEP, STEP))
    overruns = events(tmp_path, "sender.overrun")
    assert max(one["late_ms"] for one in overruns) >= 190
    assert sum(one["packets"] for one in overruns) >= 30


def test_what_is_more_than_a_second_late_is_skipped_and_counted(tmp_path: Path) -> None:
    recorder = Recorder({5: lambda: time.sleep(1.3)})

    Pacer(context(tmp_path), [recorder.track(0, 400 * STEP)]).run()

    skipped = sum(one["skipped"] for one in events(tmp_path, "sender.overrun"))
    assert skipped >= 200
    assert len(recorder.samples) == 400 - skipped
    assert recorder.samples == sorted(recorder.samples)


def test_a_track_that_fails_leaves_the_others_alone(tmp_path: Path) -> None:
    def fail() -> None:
        raise TrackEnded("the pipe broke")

    broken, sound = Recorder({3: fail}), Recorder()

    Pacer(context(tmp_path), [broken.track(0, 50 * STEP), sound.track(0, 50 * STEP)]).run()

    assert broken.reasons == ["the pipe broke"]
    assert sound.reasons == [None]
    assert len(sound.samples) == 50


def test_a_worker_told_to_stop_ends_every_track(tmp_path: Path) -> None:
    worker = context(tmp_path)
    recorder = Recorder({5: worker.stopping.set})

    Pacer(worker, [recorder.track(0, 10**9), Recorder().track(10**8, 10**9)]).run()

    assert len(recorder.samples) == 5
    assert recorder.reasons == [None]


@given(
    windows=st.lists(st.tuples(st.floats(0, 100), st.floats(100, 200)), min_size=1, max_size=40),
    seed=st.integers(0, 2**32),
    now_s=st.floats(-5, 90),
)
def test_the_grid_stays_in_its_windows(
    windows: list[tuple[float, float]], seed: int, now_s: float
) -> None:
    samples = grid(windows, STEP, seed, now_s)

    for (from_s, to_s), (first, end) in zip(windows, samples, strict=True):
        begin = max(from_s, now_s + 0.25)
        assert -1 <= first - begin * 48000 < STEP + 1
        assert end == pytest.approx(to_s * 48000, abs=1)


def test_the_grid_spreads_streams_over_the_packet_interval() -> None:
    phases = {first % STEP for first, _end in grid([(0.0, 10.0)] * 40, STEP, 0, 0.0)}

    assert phases == {0, 48, 96, 144, 192, 240}


def test_percentiles_are_nearest_rank() -> None:
    errors = [n * 1_000_000 for n in range(1, 101)]

    assert percentile_ms(errors, 50) == 50
    assert percentile_ms(errors, 99) == 99
    assert percentile_ms(errors, 100) == 100
    assert percentile_ms([7_000_000], 50) == 7
