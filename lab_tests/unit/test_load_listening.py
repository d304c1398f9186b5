"""The listener with the real oracle, on audio whose arrival times the test decides."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from screamlab.agent.context import WorkerContext
from screamlab.evidence.spool import Spool, read_lines
from screamlab.load.listening import EVENTS_PER_S, Listener
from screamlab.load.waveform import waveform
from screamlab.scenario.plan import Endpoint, Heard, ReceiverStream

ZERO = 5000.0
FRAMES = 288
INTERVAL_S = FRAMES / 48000
AUDIO = waveform(3, channels=2, big_endian=False, packet_frames=FRAMES)


class Ear:
    """A listener that is given numbered packets of signal 3."""

    def __init__(self, folder: Path, to_s: float = 60.0, playout_ms: float = 400.0) -> None:
        self._folder = folder
        stream = ReceiverStream(
            name="r",
            protocol="rtp",
            local=Endpoint(address="127.0.0.1", port=0),
            hears=(Heard(sender="s", signal=3),),
            playout_ms=playout_ms,
            from_s=0.0,
            to_s=to_s,
        )
        spool = Spool(folder, writer="w", host="h")
        self.listener = Listener(stream, WorkerContext("w", "h", ZERO, 0.0, to_s, spool, folder))

    def hear(
        self, numbers: Iterable[int], late_s: float = 0.0, lost: frozenset[int] = frozenset()
    ) -> None:
        for number in numbers:
            arrival = ZERO + number * INTERVAL_S + late_s
            self.listener.attend(arrival, dict)
            if number in lost:
                self.listener.miss(FRAMES)
            else:
                self.listener.hear(bytes(AUDIO.packet(number * FRAMES, FRAMES)), arrival)

    def close(self, at_s: float) -> None:
        self.listener.close(ZERO + at_s, {})

    def events(self, kind: str) -> list[dict[str, Any]]:
        records = read_lines(self._folder / "events-w.jsonl").records
        return [one for one in records if one["kind"].startswith(kind)]

    def last(self) -> dict[str, float]:
        records = read_lines(self._folder / "series-w.jsonl").records
        values: dict[str, float] = [
            one["values"] for one in records if one["subject"] == "stream/r/s"
        ][-1]
        return values


@pytest.fixture
def ear(tmp_path: Path) -> Ear:
    return Ear(tmp_path)


def test_clean_sound_is_heard_and_nothing_else(ear: Ear) -> None:
    ear.hear(range(500), late_s=0.003)
    ear.close(3.0)

    assert ear.events("audio.") == []
    (heard,) = ear.events("stream.heard")
    assert heard["after_s"] < 0.5
    assert ear.last()["latency_ms"] == pytest.approx(3, abs=0.1)


def test_lost_audio_is_one_dropout_of_its_length(ear: Ear) -> None:
    ear.hear(range(500), lost=frozenset({300, 301}))
    ear.close(3.0)

    (found,) = ear.events("audio.")
    assert (found["kind"], found["subject"]) == ("audio.dropout", "stream/r/s")
    assert found["sender"] == "s"
    assert found["ms"] == pytest.approx(12, abs=0.1)
    assert found["t"] == pytest.approx(ZERO + 300 * INTERVAL_S, abs=0.01)


def test_a_stall_that_the_jitter_buffer_bridges_is_no_dropout(ear: Ear) -> None:
    ear.hear(range(300))
    for number in range(300, 350):
        stalled = (350 - number) * INTERVAL_S
        ear.hear([number], late_s=stalled)
    ear.hear(range(350, 600))
    ear.close(3.6)

    assert ear.events("audio.") == []


def test_a_line_that_stays_silent_is_silence_of_that_length(ear: Ear) -> None:
    ear.hear(range(300))
    ear.hear(range(500, 800))
    ear.close(4.8)

    (found,) = ear.events("audio.")
    assert found["kind"] in ("audio.silence", "audio.dropout")
    assert found["ms"] == pytest.approx(200 * INTERVAL_S * 1000, abs=2)
    assert ear.last()["dropout_ms"] == found["ms"]


def test_what_happens_after_the_window_does_not_count(tmp_path: Path) -> None:
    ear = Ear(tmp_path, to_s=2.0)
    ear.hear(range(500), lost=frozenset({400, 401, 402}))
    ear.close(2.9)

    assert ear.events("audio.") == []
    assert ear.last()["dropouts"] == 0


def test_a_flood_of_findings_is_counted_but_not_written_out(ear: Ear) -> None:
    ear.hear(range(1000), lost=frozenset(range(200, 900, 10)))
    ear.close(6.0)

    written = ear.events("audio.dropout")
    untold = sum(one["count"] for one in ear.events("audio.suppressed"))
    assert len(written) + untold == ear.last()["dropouts"] == 70
    assert len(written) <= EVENTS_PER_S * 7


def test_a_receiver_that_heard_nothing_closes_in_peace(ear: Ear) -> None:
    ear.close(1.0)

    assert ear.last()["heard"] == 0
    assert ear.events("stream.heard") == []
