"""What a load worker is asked and cannot do is one clear sentence, before anything is sent."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from screamlab.agent.context import WorkerContext
from screamlab.errors import BadInput, InfraError
from screamlab.evidence.spool import Spool
from screamlab.load import gst_pipeline, gstreamer, native_receiver, native_sender
from screamlab.load.bench import pacing_errors_ms
from screamlab.scenario.plan import Endpoint, Heard, ReceiverStream, SenderStream

Run = Callable[[dict[str, Any], WorkerContext], None]

SENDER = SenderStream(
    name="s1",
    protocol="rtp",
    signal=0,
    local=Endpoint(address="127.0.0.1", port=0),
    remote=Endpoint(address="127.0.0.1", port=9),
    from_s=0.0,
    to_s=0.0,
)
RECEIVER = ReceiverStream(
    name="r1",
    protocol="rtp",
    local=Endpoint(address="127.0.0.1", port=0),
    hears=(Heard(sender="s1", signal=0),),
    from_s=0.0,
    to_s=0.0,
)


@pytest.fixture
def context(tmp_path: Path) -> WorkerContext:
    spool = Spool(tmp_path, writer="w", host="h")
    return WorkerContext("w", "h", time.time(), 0.0, 0.0, spool, tmp_path)


@pytest.mark.parametrize(
    ("run", "stream", "sentence"),
    [
        (native_sender.run, SENDER.model_copy(update={"codec": "opus"}), "s1.*send opus"),
        (native_sender.run, SENDER.model_copy(update={"rate_hz": 44100}), "s1.*48000 Hz"),
        (native_sender.run, SENDER.model_copy(update={"channels": 5}), "s1: 5 channels"),
        (native_receiver.run, RECEIVER.model_copy(update={"codec": "opus"}), "r1.*hear opus"),
        (gstreamer.run_senders, SENDER.model_copy(update={"protocol": "scream"}), "s1.*scream"),
        (gstreamer.run_receivers, RECEIVER.model_copy(update={"protocol": "scream"}), "r1.*scream"),
    ],
)
def test_a_stream_the_client_cannot_play_is_bad_input(
    run: Run, stream: SenderStream | ReceiverStream, sentence: str, context: WorkerContext
) -> None:
    with pytest.raises(BadInput, match=sentence):
        run({"streams": [stream.model_dump()]}, context)


def test_a_host_without_gstreamer_says_so(
    context: WorkerContext, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(InfraError, match=f"{gst_pipeline.LAUNCHER} is not installed"):
        gstreamer.run_senders({"streams": [SENDER.model_dump()]}, context)


def test_the_bench_measures_lateness_against_the_most_punctual_packet() -> None:
    arrivals = [10.0, 10.0065, 10.012, 10.019]

    assert pacing_errors_ms(arrivals) == pytest.approx([0, 0.5, 0, 1.0], abs=1e-6)
    assert pacing_errors_ms([]) == []
