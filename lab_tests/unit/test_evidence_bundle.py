"""From spools to a bundle and back: what goes in comes out, whatever is broken or missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from screamlab.errors import BadInput
from screamlab.evidence import merge
from screamlab.evidence.build import build_bundle
from screamlab.evidence.bundle import Bundle
from screamlab.evidence.spool import Spool

ZERO = 1_700_000_000.0
PLAN = {
    "run_id": "r1",
    "scenario": "s",
    "scale": "quick",
    "seed": 1,
    "duration_s": 10.0,
    "phases": [],
    "workers": [],
}


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """A run of two hosts of which nothing has been collected yet."""
    folder = tmp_path / "r1"
    (folder / "plans").mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"run_id": "r1", "zero": ZERO}))
    for host in ("h1", "h2"):
        (folder / "plans" / f"{host}.json").write_text(json.dumps(PLAN | {"host": host}))
    return folder


def spool(run_dir: Path, host: str, writer: str = "w") -> Spool:
    return Spool(run_dir / "hosts" / host, writer=writer, host=host)


def write_some(run_dir: Path, host: str, offset_s: float = 0.0) -> None:
    writer = spool(run_dir, host)
    for second in range(3):
        t = ZERO + second + offset_s
        writer.event("audio.dropout", f"stream/r/{host}", t=t, ms=20 + second)
        writer.series("process/router", {"cpu_percent": 10 * second, "threads": 5}, t=t)
    writer.event("phase.end", "phase", t=ZERO - 1)
    writer.close()


def test_the_timeline_of_all_hosts_is_one(run_dir: Path) -> None:
    write_some(run_dir, "h1")
    write_some(run_dir, "h2", offset_s=0.5)
    built = build_bundle(run_dir)
    assert (built.events, built.values, built.broken_lines) == (8, 12, {})
    bundle = Bundle(run_dir)
    times = [bundle.at_s(event["t"]) for event in bundle.events()]
    assert times == [-1, -1, 0, 0.5, 1, 1.5, 2, 2.5]
    dropouts = bundle.events("audio.", "stream/*/h2")
    assert [(event["host"], event["ms"]) for event in dropouts] == [
        ("h2", 20),
        ("h2", 21),
        ("h2", 22),
    ]
    assert bundle.events("audio.drop", host="h1") and not bundle.events("dropout")


def test_events_are_sorted_in_pieces_too(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "_CHUNK", 7)
    writer = spool(run_dir, "h1")
    for number in np.random.default_rng(1).permutation(100):
        writer.event("a.b", str(number), t=ZERO + float(number))
    build_bundle(run_dir)
    assert [event["subject"] for event in Bundle(run_dir).events()] == [str(n) for n in range(100)]


def test_series_by_host_subject_metric_and_time(run_dir: Path) -> None:
    write_some(run_dir, "h1")
    write_some(run_dir, "h2", offset_s=0.5)
    build_bundle(run_dir)
    with Bundle(run_dir) as bundle:
        found = bundle.series("process/*", "cpu_percent", from_s=0.5, to_s=2.0)
        assert list(found) == [("h1", "process/router"), ("h2", "process/router")]
        t, value = found["h2", "process/router"]
        np.testing.assert_array_equal(bundle.at_s(t), [0.5, 1.5])
        np.testing.assert_array_equal(value, [0, 10])
        assert bundle.series("process/*", "nothing") == {}
        (row,) = bundle.query("SELECT min(at_s), max(value) FROM series").fetchall()
        assert row == (0.0, 20.0)


def test_a_million_values_round_trip(run_dir: Path) -> None:
    folder = run_dir / "hosts/h1"
    folder.mkdir(parents=True)
    expected = np.random.default_rng(2).integers(1000, size=(1000, 1000))
    with (folder / "series-w.jsonl").open("w") as file:
        for second, row in enumerate(expected):
            for part in range(100):
                values = dict(enumerate(row[10 * part : 10 * part + 10].tolist()))
                line = {"t": ZERO + second, "host": "h1", "subject": f"s/{part}", "values": values}
                file.write(json.dumps(line) + "\n")
    assert build_bundle(run_dir).values == 1_000_000
    bundle = Bundle(run_dir)
    for part, metric in ((0, 0), (57, 3), (99, 9)):
        (series,) = bundle.series(f"s/{part}", str(metric)).values()
        np.testing.assert_array_equal(series.value, expected[:, 10 * part + metric])
        np.testing.assert_array_equal(bundle.at_s(series.t), np.arange(1000))


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(damage=st.data())
def test_broken_lines_are_counted_and_whole_ones_kept(
    tmp_path_factory: pytest.TempPathFactory, damage: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("run")
    (folder / "run.json").write_text(json.dumps({"run_id": "r1", "zero": ZERO}))
    host = folder / "hosts/h1"
    host.mkdir(parents=True)
    good = '{"t":%d,"host":"h1","subject":"p","values":{"n":%d}}\n'
    lines = [(good % (number, number)).encode() for number in range(4)]
    place = damage.draw(st.integers(0, 4))
    length = damage.draw(st.integers(1, len(lines[0]) - 2))
    junk = damage.draw(
        st.sampled_from([lines[0][:length], b"\xff\xfe{}", b"\0" * length, b"[1]", b'{"t":"x"}'])
    )
    (host / "series-w.jsonl").write_bytes(b"".join([*lines[:place], junk, b"\n", *lines[place:]]))
    built = build_bundle(folder)
    assert built.broken_lines == {"hosts/h1/series-w.jsonl": 1}
    (series,) = Bundle(folder).series("p", "n").values()
    np.testing.assert_array_equal(series.value, [0, 1, 2, 3])


def test_a_series_file_cut_at_any_byte(run_dir: Path) -> None:
    write_some(run_dir, "h1")
    path = run_dir / "hosts/h1/series-w.jsonl"
    whole = path.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    for length in (last, last + 1, len(whole) - 10, len(whole) - 2, len(whole) - 1, len(whole)):
        path.write_bytes(whole[:length])
        built = build_bundle(run_dir)
        # A line that lacks only its newline is whole.
        complete = 3 if length >= len(whole) - 1 else 2
        assert built.values == 2 * complete
        torn = last < length < len(whole) - 1
        assert built.broken_lines == ({"hosts/h1/series-w.jsonl": 1} if torn else {})


def test_a_host_nothing_came_from_is_missing_with_the_reason(run_dir: Path) -> None:
    write_some(run_dir, "h1")
    built = build_bundle(run_dir, {"h1": None, "h2": "no route to host"})
    assert built.missing_hosts == {"h2": "no route to host"}
    bundle = Bundle(run_dir)
    assert bundle.missing_hosts == ("h2",)
    assert bundle.missing_reasons == {"h2": "no route to host"}
    assert bundle.unfinished_hosts == ("h1",)
    (run_dir / "hosts/h1/done").touch()
    assert Bundle(run_dir).unfinished_hosts == ()


def test_a_host_that_was_collected_before_stays_so(run_dir: Path) -> None:
    write_some(run_dir, "h1")
    write_some(run_dir, "h2")
    build_bundle(run_dir, {"h1": None, "h2": None})
    built = build_bundle(run_dir, {"h1": None, "h2": "gone meanwhile"})
    assert built.missing_hosts == {} and built.events == 8
    assert Bundle(run_dir).missing_hosts == ()


def test_building_again_changes_nothing_until_there_is_more(run_dir: Path) -> None:
    write_some(run_dir, "h1")
    assert build_bundle(run_dir, dry=True).changed
    assert not (run_dir / "manifest.json").exists()
    assert build_bundle(run_dir).changed
    before = {path: path.stat().st_mtime_ns for path in run_dir.iterdir() if path.is_file()}
    assert not build_bundle(run_dir).changed
    assert before == {path: path.stat().st_mtime_ns for path in run_dir.iterdir() if path.is_file()}
    (run_dir / "verdict.json").write_text("{}")
    assert not build_bundle(run_dir).changed
    write_some(run_dir, "h2")
    assert build_bundle(run_dir, dry=True).changed
    assert build_bundle(run_dir).events == 8
    (run_dir / "series.parquet").unlink()
    assert build_bundle(run_dir).changed


def test_the_manifest_lists_every_file_with_its_checksum(run_dir: Path) -> None:
    write_some(run_dir, "h1")
    build_bundle(run_dir)
    manifest = Bundle(run_dir).manifest
    assert (manifest["run_id"], manifest["schema_version"]) == ("r1", 1)
    listed = {entry["path"] for entry in manifest["files"]}
    there = {p.relative_to(run_dir).as_posix() for p in run_dir.rglob("*") if p.is_file()}
    assert listed == there - {"manifest.json"}


def test_a_run_that_was_planned_and_never_started_reads_as_empty(run_dir: Path) -> None:
    (run_dir / "run.json").write_text(json.dumps({"run_id": "r1", "zero": None}))
    bundle = Bundle(run_dir)
    assert bundle.events() == [] and bundle.series("*", "x") == {} and bundle.facts == {}
    assert list(bundle.journal("h1")) == [] and not bundle.has_journal("h1")
    assert bundle.missing_hosts == ("h1", "h2")
    assert build_bundle(run_dir).events == 0


def test_facts_carry_what_the_controller_measured_of_the_clock(run_dir: Path) -> None:
    clocks = {"h1": {"offset_ms": 1.5, "bound_ms": 0.2}}
    (run_dir / "run.json").write_text(json.dumps({"zero": ZERO, "clocks": clocks}))
    (run_dir / "hosts/h1").mkdir(parents=True)
    (run_dir / "hosts/h1/facts.json").write_text(json.dumps({"clock": {"source": "tsc"}}))
    facts: dict[str, Any] = Bundle(run_dir).facts
    assert facts["h1"]["clock"] == {"source": "tsc", "offset_ms": 1.5, "bound_ms": 0.2}


@pytest.mark.parametrize("content", [None, "{", "[]", '{"zero": "x"}'])
def test_what_is_no_run_folder_is_refused_by_name(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(BadInput, match=r"run\.json"):
        Bundle(tmp_path)
