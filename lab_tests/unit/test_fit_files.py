"""Files of irtt, ping, tshark and the router, captured from the real programs, and what is fitted.

`irtt_broken` and `rtp_broken` went through a relay that lost packets by p 2 %, r 30 % there and
p 0.5 %, r 50 % back, and held them 10 ms ± 3 ms (there) and 20 ms ± 1 ms (back).
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from screamlab.errors import BadInput
from screamlab.evidence.spool import Spool
from screamlab.fit import command
from screamlab.fit.compare import compare, table
from screamlab.fit.model import as_yaml, fit
from screamlab.fit.pcap import unwrapped
from screamlab.fit.read import read_samples
from screamlab.fit.router import CHUNKS_PER_S
from screamlab.impair.condition import GilbertElliott
from screamlab.impair.profile import load_profile
from screamlab.paths import CHECKOUT

DATA = CHECKOUT / "lab_tests" / "data" / "fit"
IRTT, CLEAN = DATA / "irtt_broken.json.gz", DATA / "irtt_clean.json.gz"
PING, PCAP = DATA / "ping_lossy.txt", DATA / "rtp_broken.pcap.gz"
ROUTER = json.loads((DATA.parent / "router_api.json").read_text())["stats_audio"]


def test_irtt_tells_where_packets_were_lost() -> None:
    stats = json.loads(gzip.decompress(IRTT.read_bytes()))["stats"]
    there, back = read_samples(IRTT)
    assert (there.direction, back.direction) == ("from_host", "to_host")
    assert len(there.lost) == stats["packets_sent"]
    assert len(back.lost) == stats["server_packets_received"]
    assert int((~back.lost).sum()) == stats["packets_received"]
    assert there.lost.mean() * 100 == pytest.approx(stats["upstream_loss_percent"])
    assert there.spacing_s == pytest.approx(0.01, rel=0.02)
    assert there.bytes_on_link == 172 + 42
    # The relay is 10 ms one way and 20 ms the other: without one clock that cannot be told.
    assert np.nanmin(there.delay_s) == pytest.approx(np.nanmin(back.delay_s))
    trusted = read_samples(IRTT, trust_clocks=True)
    assert [round(np.nanmin(part.delay_s), 3) for part in trusted] == [0.010, 0.020]
    assert np.nanmedian(trusted[0].delay_s) * 1e9 == pytest.approx(
        stats["send_delay"]["median"], rel=0.01
    )


def test_ping_counts_what_was_never_answered() -> None:
    there, back = read_samples(PING)
    # Its summary: 500 packets transmitted, 360 received.
    assert (len(there.lost), int(there.lost.sum())) == (500, 140)
    assert there.bytes_on_link == 64 + 34
    assert there.delay_s == pytest.approx(back.delay_s, nan_ok=True)
    assert np.nanmax(there.delay_s) == pytest.approx(0.098e-3 / 2)
    assert there.duration_s == pytest.approx(15.9, rel=0.02)
    assert (np.diff(there.send_s) > 0).all()
    assert "half of the delay" in there.notes[0]


def test_ping_without_times_and_without_an_end(tmp_path: Path) -> None:
    lines = PING.read_text().splitlines()
    plain = "\n".join(line.split("] ", 1)[-1] for line in lines)
    (tmp_path / "plain.txt").write_text(plain)
    there = read_samples(tmp_path / "plain.txt")[0]
    assert there.duration_s == pytest.approx(15.9, rel=0.02)
    assert int(there.lost.sum()) == 140
    (tmp_path / "cut.txt").write_text("\n".join(lines[:300])[:-7])
    cut = read_samples(tmp_path / "cut.txt")[0]
    assert 250 < len(cut.lost) < 320
    assert "summary is missing" in " ".join(cut.notes)


def test_rtp_is_read_through_wraps_of_its_numbers() -> None:
    (samples,) = read_samples(PCAP)
    # 1500 packets were sent from sequence number 65400 and timestamp 4294960000 on.
    assert len(samples.lost) >= 1495
    assert int((~samples.lost).sum()) == 1387
    assert samples.spacing_s == pytest.approx(0.006)
    assert samples.bytes_on_link == 12 + 1152 + 42
    assert np.nanmin(samples.delay_s) == 0
    assert samples.direction == "to_host"
    assert unwrapped(np.array([65534, 65535, 1, 0, 2]), 16).tolist() == [
        65534, 65535, 65537, 65536, 65538
    ]  # fmt: skip


def test_a_measured_path_becomes_a_profile_that_loads(tmp_path: Path) -> None:
    found = fit([IRTT], "field", trust_clocks=True)
    there, back = found.whole["from_host"], found.whole["to_host"]
    assert there.loss.model == "simple Gilbert"
    assert there.loss.p == pytest.approx(0.02, rel=0.4)
    assert there.loss.r == pytest.approx(0.3, rel=0.4)
    assert there.delay is not None
    assert back.delay is not None
    assert there.delay.quantiles_ms[50] == pytest.approx(12.4, rel=0.05)
    assert back.delay.quantiles_ms[50] == pytest.approx(21.0, rel=0.05)
    assert there.delay.ks < 0.05
    file = tmp_path / "field.yml"
    file.write_text(as_yaml(found.profile))
    loaded = load_profile(file)
    assert loaded.model_dump() == found.profile.model_dump()
    assert loaded.schedule() == found.profile.schedule()
    assert "irtt_broken.json.gz" in loaded.source
    assert all(len(line) <= 120 for line in file.read_text().splitlines())


def test_the_profile_is_for_packets_of_the_spacing_asked_for() -> None:
    dense = fit([IRTT], "field", spacing_s=0.002).profile.from_host
    measured = fit([IRTT], "field").profile.from_host
    assert dense is not None
    assert measured is not None
    assert isinstance(dense.loss, GilbertElliott)
    assert isinstance(measured.loss, GilbertElliott)
    assert dense.loss.to_good_percent < measured.loss.to_good_percent / 3


def test_no_loss_is_no_loss_and_not_proven(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = parsed(str(CLEAN))
    assert command.run(arguments) == 0
    shown = capsys.readouterr().out
    assert "none" in shown
    assert "at most 1.240%" in shown
    assert fit([CLEAN], "clean").profile.from_host.loss is None  # type: ignore[union-attr]


def test_half_of_the_losses_of_a_ping_belong_to_either_direction() -> None:
    profile = fit([PING], "pinged").profile
    assert profile.both is not None
    loss = profile.both.loss
    assert isinstance(loss, GilbertElliott)
    share = loss.to_bad_percent / (loss.to_bad_percent + loss.to_good_percent)
    assert 1 - (1 - share) ** 2 == pytest.approx(0.28, abs=0.03)


def changing(folder: Path) -> Path:
    """An irtt result whose second half is 30 ms slower there, made of a captured one."""
    document = json.loads(gzip.decompress(CLEAN.read_bytes()))
    trips, step_ns = document["round_trips"], 20_000_000
    begin = trips[0]["timestamps"]["client"]["send"]["wall"]
    made = []
    for number in range(3000):
        trip = json.loads(json.dumps(trips[number % len(trips)]))
        send = trip["timestamps"]["client"]["send"]["wall"]
        shift = begin + number * step_ns - send
        for host, what in (("client", "send"), ("client", "receive"), ("server", "send")):
            trip["timestamps"][host][what]["wall"] += shift
        trip["delay"]["send"] += 30_000_000 * (number >= 1500)
        made.append(trip)
    document["round_trips"] = made
    file = folder / "changing.json"
    file.write_text(json.dumps(document))
    return file


def test_a_path_that_changed_becomes_steps(tmp_path: Path) -> None:
    found = fit([changing(tmp_path)], "changing")
    schedule = found.profile.schedule()
    assert [step.at_s for step in schedule.steps] == pytest.approx([0, 30], abs=1)
    assert schedule.repeat_s == pytest.approx(60, abs=0.1)
    medians = [np.median(step.from_host.delay_quantiles_ms) for step in schedule.steps]
    assert medians[1] - medians[0] == pytest.approx(30, abs=0.2)
    file = tmp_path / "changing.yml"
    file.write_text(as_yaml(found.profile))
    assert load_profile(file).schedule() == schedule


def router_lines(missing: float, seconds: int = 90) -> str:
    """Answers of /api/stats, one a second, of a stream that goes on as the captured one did."""
    lines = []
    for second in range(seconds):
        answer = json.loads(json.dumps(ROUTER))
        stream = next(iter(answer["stream_stats"].values()))
        arrived = stream["total_packets_in_stream"] + second * CHUNKS_PER_S * (1 - missing)
        stream["total_packets_in_stream"] = round(arrived)
        stream["timeshift_buffer_late_packets"] = second // 30
        lines.append(json.dumps(answer))
    return "\n".join(lines)


def test_the_routers_statistics_say_what_they_can(tmp_path: Path) -> None:
    file = tmp_path / "stats.jsonl"
    file.write_text(router_lines(0.03) + '\n{"global_st')
    found = fit([file], "router")
    assert found.router is not None
    assert found.router.missing == pytest.approx(0.03, abs=0.001)
    assert found.router.late_packets == 2
    condition = found.profile.to_host
    assert condition is not None
    assert condition.loss.percent == pytest.approx(3, abs=0.1)  # type: ignore[union-attr]
    # The captured stream had a J of 1.62 ms.
    assert condition.jitter_ms == pytest.approx(1.6236 * 0.8862, rel=0.01)
    assert "no bursts" in found.profile.source
    file.write_text(router_lines(0.0))
    assert fit([file], "router").profile.to_host.loss is None  # type: ignore[union-attr]
    file.write_text(router_lines(0.03, seconds=20))
    with pytest.raises(BadInput, match="19 s of a stream's statistics; 30 s needed"):
        fit([file], "router")


def cut(folder: Path, source: Path, size: int) -> Path:
    file = folder / source.name
    file.write_bytes(source.read_bytes()[:size])
    return file


def test_files_that_were_cut_short_or_are_something_else(tmp_path: Path) -> None:
    plain = tmp_path / "plain.json"
    plain.write_bytes(gzip.decompress(CLEAN.read_bytes())[:50_000])
    other = tmp_path / "other.txt"
    other.write_text("hello\n")
    empty = tmp_path / "empty"
    empty.write_text("")
    unanswered = tmp_path / "unanswered.txt"
    unanswered.write_text(
        "PING 198.18.73.9 (198.18.73.9) 56(84) bytes of data.\n\n--- 198.18.73.9 ping statistics"
        " ---\n400 packets transmitted, 0 received, 100% packet loss, time 8151ms\n"
    )
    for file, what in [
        (plain, "cut short"),
        (cut(tmp_path, IRTT, 30_000), "cut short"),
        (other, "not one of: irtt JSON"),
        (empty, "not one of: irtt JSON"),
        (unanswered, "not one ping was answered"),
        (tmp_path / "gone", "No such file"),
    ]:
        with pytest.raises(BadInput, match=what) as caught:
            read_samples(file)
        assert str(file) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_capture_that_was_cut_short_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    file = tmp_path / "half.pcap"
    file.write_bytes(gzip.decompress(PCAP.read_bytes())[:60_000])
    (samples,) = read_samples(file)
    assert 600 < int((~samples.lost).sum()) < 1387
    with pytest.raises(BadInput, match="no RTP"):
        read_samples(cut(tmp_path, file, 24))


def test_an_irtt_run_in_which_every_answer_was_lost(tmp_path: Path) -> None:
    document = json.loads(gzip.decompress(CLEAN.read_bytes()))
    for trip in document["round_trips"]:
        trip |= {"lost": "true_up", "delay": {}}
        trip["timestamps"]["client"]["receive"] = {}
        trip["timestamps"]["server"] = {"send": {}, "receive": {}}
    file = tmp_path / "lost.json"
    file.write_text(json.dumps(document))
    with pytest.raises(BadInput, match="not one of .* packets came"):
        fit([file], "lost")


def run_folder(folder: Path, seconds: int = 12) -> Path:
    """A run whose probe saw 5 ms and a loss in ten from second 3 to second 9, and 0.1 ms else."""
    run = folder / "run"
    (run / "plans").mkdir(parents=True)
    end = {"address": "198.18.73.1", "port": 5000}
    probe = {"name": "client1-to", "target": "client1", "direction": "to_host", "local": end,
             "remote": end, "interval_ms": 10, "from_s": 0, "to_s": seconds}  # fmt: skip
    impairment = {
        "profile": "x", "target": "client1", "device": "client1", "facing": "host",
        "selector": {"peers": ["198.18.73.0/24"]}, "from_s": 3, "to_s": 9,
        "schedule": {"steps": [{"at_s": 0}]},
    }  # fmt: skip
    workers = [
        {"name": "p", "kind": "probe_receiver", "from_s": 0, "to_s": seconds,
         "spec": {"streams": [probe]}},
        {"name": "i", "kind": "impairment", "from_s": 0, "to_s": seconds,
         "spec": {"impairments": [impairment]}},
    ]  # fmt: skip
    plan = {"run_id": "run", "host": "client1", "scenario": "x", "scale": "quick", "seed": 1,
            "duration_s": seconds, "phases": [], "workers": workers}  # fmt: skip
    (run / "plans" / "client1.json").write_text(json.dumps(plan))
    (run / "run.json").write_text(json.dumps({"run_id": "run", "zero": 1000.0}))
    spool = Spool(run, writer="x", host="client1")
    for second in range(seconds):
        slow = 3 <= second < 9
        delays = [None if slow and at % 10 == 5 else 5000 if slow else 100 for at in range(100)]
        fields = {"first_seq": second * 100, "delays_us": delays, "reordered": 0, "duplicates": 0}
        spool.event("probe.second", "probe/client1-to", second=second, **fields)
    spool.close()
    (run / "events-x.jsonl").rename(run / "events.jsonl")
    return run


def test_a_runs_probes_are_samples_while_the_link_was_impaired(tmp_path: Path) -> None:
    (samples,) = read_samples(run_folder(tmp_path))
    assert samples.direction == "to_host"
    # Seconds 4 to 7: a second at either end is left out.
    assert len(samples.lost) == 400
    assert samples.lost.mean() == pytest.approx(0.1)
    assert np.nanmax(samples.delay_s) == np.nanmin(samples.delay_s) == pytest.approx(0.005)


def test_a_replay_is_held_against_the_original(tmp_path: Path) -> None:
    (replayed,) = read_samples(run_folder(tmp_path))
    same = compare(replayed, replayed)
    assert (same.ks, same.burst_distance, same.shift_ms) == (0, 0, 0)
    (original,) = read_samples(PCAP)
    found = compare(original, replayed)
    assert found.ks > 0.5
    assert found.shift_ms == pytest.approx(5 - np.nanmedian(original.delay_s) * 1e3)
    assert found.loss[1][0] == pytest.approx(0.1)
    assert found.loss[1][1] < 0.1 < found.loss[1][2]
    # The replay lost single packets, the original bursts.
    assert dict((length, share) for length, _, share in found.bursts)["1"] == 1
    assert found.burst_distance > 0.3
    assert table(found).row_count > 10


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(words)


def test_the_command_writes_a_profile_and_compares(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "from-the-field.yml"
    assert command.run(parsed(str(PCAP), "--mirror", "-o", str(output))) == 0
    profile = load_profile(output)
    assert profile.name == "from-the-field"
    assert profile.both is not None
    assert "taken as the other" in profile.source
    assert "simple Gilbert" in capsys.readouterr().out
    assert command.run(parsed(str(PCAP), "--check", str(run_folder(tmp_path)))) == 0
    assert "KS" in capsys.readouterr().out
    with pytest.raises(BadInput, match="has no direction that was measured"):
        command.run(parsed(str(PCAP), "--check", str(only_there(tmp_path))))


def only_there(folder: Path) -> Path:
    """The run's folder with its probe the other way round."""
    plan = folder / "run" / "plans" / "client1.json"
    plan.write_text(plan.read_text().replace("to_host", "from_host"))
    return folder / "run"
