"""Ears of listeners by WebRTC with the real oracle, at times that the test decides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from screamlab.agent.context import WorkerContext
from screamlab.evidence.spool import Spool, read_lines
from screamlab.load.waveform import waveform
from screamlab.load.webrtc.ear import Ear, PacketEar, PlayedEar, alternates
from screamlab.scenario.plan import Endpoint, Heard, ReceiverStream

ZERO = 5000.0
BLOCK = 4800
PACKET = 120
BLOCK_S = BLOCK / 48000
PACKET_S = PACKET / 48000
AUDIO = waveform(3, channels=2, big_endian=False, packet_frames=BLOCK)
DELAY_S = 0.07


class Ears:
    """An ear that hears signal 3, the first sound it told of, and what it wrote."""

    def __init__(self, kind: type[Ear], folder: Path, to_s: float = 60.0) -> None:
        stream = ReceiverStream(
            name="r",
            protocol="webrtc",
            codec="opus",
            local=Endpoint(address="127.0.0.1", port=0),
            hears=(Heard(sender="s", signal=3),),
            lossy=True,
            from_s=0.0,
            to_s=to_s,
        )
        self._folder = folder
        spool = Spool(folder, writer="w", host="h")
        context = WorkerContext("w", "h", ZERO, 0.0, to_s, spool, folder)
        self.sounds: list[float] = []
        self.ear = kind(stream, context, self.sounds.append)
        self.ear.restart()

    @property
    def played(self) -> PlayedEar:
        assert isinstance(self.ear, PlayedEar)
        return self.ear

    @property
    def packets(self) -> PacketEar:
        assert isinstance(self.ear, PacketEar)
        return self.ear

    def play(self, first: int, count: int, late_s: float = 0.0) -> None:
        """Blocks as a page brings them, each once its last frame was played."""
        for number in range(first, first + count):
            at = ZERO + (number + 1) * BLOCK_S + DELAY_S + late_s
            self.ear.attend(at)
            self.played.take(bytes(AUDIO.packet(number * BLOCK, BLOCK)), at)

    def send(self, first: int, count: int, late_s: float = 0.0) -> None:
        """Packets with their timestamps as they come."""
        for number in range(first, first + count):
            at = ZERO + number * PACKET_S + DELAY_S + late_s
            self.ear.attend(at)
            pcm = bytes(AUDIO.packet(number * PACKET, PACKET))
            self.packets.take(pcm, at, number * PACKET)

    def events(self, kind: str) -> list[dict[str, Any]]:
        records = read_lines(self._folder / "events-w.jsonl").records
        return [one for one in records if one["kind"].startswith(kind)]

    def last(self) -> dict[str, float]:
        records = read_lines(self._folder / "series-w.jsonl").records
        found: dict[str, float] = {}
        for record in records:
            if record["subject"] == "stream/r/s" and "latency_ms" in record["values"]:
                found = record["values"]
        return found


def test_a_page_that_plays_is_heard_with_its_latency(tmp_path: Path) -> None:
    ears = Ears(PlayedEar, tmp_path)
    ears.play(0, 50)

    assert ears.events("audio.") == []
    assert ears.last()["latency_ms"] == pytest.approx(DELAY_S * 1000, abs=1)
    assert len(ears.sounds) == 1


def test_blocks_that_a_busy_worker_reads_late_are_no_fault(tmp_path: Path) -> None:
    ears = Ears(PlayedEar, tmp_path)
    ears.play(0, 30)
    for held in range(3):
        ears.play(30 + held, 1, late_s=0.4 - held * BLOCK_S)
    ears.play(33, 20)

    assert ears.events("audio.") == []
    assert ears.events("receiver.overrun") == []


def test_a_player_that_stood_still_is_the_labs_own_fault(tmp_path: Path) -> None:
    ears = Ears(PlayedEar, tmp_path)
    ears.play(0, 30)
    ears.play(30, 30, late_s=0.3)

    (overrun,) = ears.events("receiver.overrun")
    assert overrun["late_ms"] == pytest.approx(300, abs=1)
    (gap,) = ears.events("audio.")
    assert gap["ms"] == pytest.approx(300, abs=2)


def test_silence_before_the_first_sound_is_not_waited_for(tmp_path: Path) -> None:
    ears = Ears(PlayedEar, tmp_path)
    for number in range(10):
        ears.played.take(bytes(4 * BLOCK), ZERO + number * BLOCK_S)
    assert ears.sounds == []
    ears.play(20, 30)

    assert ears.sounds == [pytest.approx(ZERO + 21 * BLOCK_S + DELAY_S)]
    assert ears.events("audio.") == []


def test_a_new_connection_has_a_first_sound_and_a_time_of_its_own(tmp_path: Path) -> None:
    ears = Ears(PlayedEar, tmp_path)
    ears.play(0, 30)
    ears.ear.restart()
    ears.play(50, 30, late_s=0.02)

    assert len(ears.sounds) == 2
    (gap,) = ears.events("audio.")
    assert gap["kind"] == "audio.silence"
    assert gap["ms"] == pytest.approx(2000, abs=50)
    assert ears.events("receiver.overrun") == []


def test_packets_are_heard_across_the_wrap_of_their_timestamps(tmp_path: Path) -> None:
    ears = Ears(PacketEar, tmp_path)
    for number in range(2000):
        at = ZERO + number * PACKET_S + DELAY_S
        pcm = bytes(AUDIO.packet(number * PACKET, PACKET))
        ears.ear.attend(at)
        ears.packets.take(pcm, at, ((1 << 32) - 100_050 + number * PACKET) & 0xFFFFFFFF)

    assert ears.events("audio.") == []
    assert ears.events("net.") == []
    assert ears.last()["latency_ms"] == pytest.approx(DELAY_S * 1000, abs=1)


def test_packets_that_never_come_are_lost_sound(tmp_path: Path) -> None:
    ears = Ears(PacketEar, tmp_path)
    ears.send(0, 1000)
    ears.send(1040, 1000)

    (gap,) = ears.events("audio.")
    assert gap["ms"] == pytest.approx(100, abs=3)
    assert ears.ear.values()["lost"] == 40


def test_packets_later_than_the_player_waits_are_lost_and_the_router_is_charged(
    tmp_path: Path,
) -> None:
    ears = Ears(PacketEar, tmp_path)
    ears.send(0, 1000)
    ears.send(1000, 1000, late_s=0.4)

    assert {one["kind"] for one in ears.events("audio.")} <= {"audio.silence", "audio.dropout"}
    assert sum(one["ms"] for one in ears.events("audio.")) > 400
    assert [one["by_ms"] for one in ears.events("net.rebuffer")] == [pytest.approx(400, abs=1)]
    assert ears.events("receiver.overrun") == []


@pytest.mark.parametrize(
    ("samples", "sound"),
    [
        ([0] * 240, False),
        ([1600, 1500] * 120, False),
        ([-30, 30] * 120, False),
        ([900, -900], True),
    ],
)
def test_sound_is_what_goes_up_and_down(samples: list[int], sound: bool) -> None:
    pcm = b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples)
    assert alternates(pcm) is sound
