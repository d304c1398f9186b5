"""The timeline of all hosts: one order, one clock, whatever said it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from screamlab.evidence import kernel_log, merge
from screamlab.evidence.build import build_bundle
from screamlab.evidence.bundle import Bundle
from screamlab.evidence.kernel_log import parse_record
from screamlab.evidence.spool import Spool
from screamlab.evidence.timeline import Line
from screamlab.observe.host_facts import kernel
from screamlab.paths import CHECKOUT

EXPORT = CHECKOUT / "lab_tests/data/journal_units.export"
# The first and last entry of the export.
FIRST, LAST = 1795447718.605371, 1795447941.944439
ZERO = 1795447700.0


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """Host h1, whose clock is 50 s ahead, has a journal and the router's logs; h2 an event."""
    run = tmp_path / "run"
    for host in ("h1", "h2"):
        spool = Spool(run / "hosts" / host, writer="w", host=host)
        spool.event("audio.click", "stream/a/b", t=ZERO + 18.6, ms=1.5)
        spool.close()
    (run / "hosts/h1/journal.export.gz").write_bytes(gzip.compress(EXPORT.read_bytes()))
    logs = run / "hosts/h1/files/var/lib/screamrouter/logs"
    logs.mkdir(parents=True)
    (logs / "all.log").write_text(
        "torn line of an older file\n"
        "[INFO:2026-11-23 15:29:10,500][a.py:1:7]hello\n"
        "[ERROR:2026-11-23 15:29:11,500][b.cpp:2:7]BLOCKED THREAD backtrace:\n"
        "  [0] lock\n"
        "  [1] unlock\n"
    )
    meta = {
        "run_id": "r", "zero": ZERO, "duration_s": 300.0,
        "clocks": {"h1": {"offset_ms": 50_000.0, "bound_ms": 0.2}},
        "phases": [{"name": "hold", "kind": "hold", "from_s": 1.0, "to_s": 300.0}],
    }  # fmt: skip
    (run / "run.json").write_text(json.dumps(meta))
    return run


def lines(run_dir: Path) -> list[Line]:
    build_bundle(run_dir)
    return list(Bundle(run_dir).timeline())


def test_everything_is_in_one_order_on_one_clock(run_dir: Path) -> None:
    found = lines(run_dir)
    assert [line.t for line in found] == sorted(line.t for line in found)
    assert {(line.kind, line.host) for line in found} == {
        ("journal", "h1"), ("log", "h1"), ("event", "h1"), ("event", "h2"), ("phase", ""),
    }  # fmt: skip
    clicks = {line.host: line for line in found if line.source == "audio.click"}
    assert clicks["h2"].t - clicks["h1"].t == pytest.approx(50.0)
    assert clicks["h2"].text == "stream/a/b ms=1.5"
    units = [line for line in found if line.kind == "journal"]
    assert units[0].t == pytest.approx(FIRST - 50.0)
    # systemd's words about a unit are the unit's.
    assert units[0].source == "ev-load.service"


def test_a_log_file_keeps_the_lines_of_a_message_together(run_dir: Path) -> None:
    hello, blocked = (line for line in lines(run_dir) if line.kind == "log")
    assert (hello.source, hello.level, hello.t) == ("all.log", 6, ZERO + 0.5)
    assert (blocked.level, blocked.text.count("\n")) == (3, 2)
    assert blocked.text.endswith("[1] unlock")


def test_what_lies_far_from_the_run_is_left_out(run_dir: Path) -> None:
    record = json.loads((run_dir / "run.json").read_text())
    (run_dir / "run.json").write_text(json.dumps({**record, "zero": ZERO + 5000.0}))
    assert {line.kind for line in lines(run_dir)} == {"phase"}


def test_pieces_are_merged_and_building_again_changes_nothing(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = lines(run_dir)
    content = (run_dir / "timeline.jsonl.gz").read_bytes()
    monkeypatch.setattr(merge, "_CHUNK", 2)
    assert not build_bundle(run_dir).changed
    (run_dir / "timeline.jsonl.gz").unlink()
    assert build_bundle(run_dir).changed
    assert (run_dir / "timeline.jsonl.gz").read_bytes() == content
    assert Bundle(run_dir).manifest["timeline_lines"] == len(whole)


def test_a_bundle_without_a_timeline_is_empty_and_is_built_again(run_dir: Path) -> None:
    build_bundle(run_dir)
    manifest = json.loads((run_dir / "manifest.json").read_text())
    manifest["files"] = [f for f in manifest["files"] if f["path"] != "timeline.jsonl.gz"]
    (run_dir / "manifest.json").write_text(json.dumps(manifest))
    (run_dir / "timeline.jsonl.gz").unlink()
    assert list(Bundle(run_dir).timeline()) == []
    assert build_bundle(run_dir).changed


def test_long_texts_are_cut(run_dir: Path) -> None:
    spool = Spool(run_dir / "hosts/h2", writer="x", host="h2")
    spool.event("a.b", "s", t=ZERO, blob="x" * 9000)
    spool.close()
    (line,) = (line for line in lines(run_dir) if line.source == "a.b")
    assert len(line.text) < 4100 and line.text.endswith("more characters)")


def test_a_record_of_the_kernel() -> None:
    record = b"6,1190,1347463283,-;native-sender[16068]: segfault at 0\\x09ip 7f\n SUBSYSTEM=x\n"
    assert parse_record(record) == (1347.463283, 6, "native-sender[16068]: segfault at 0\tip 7f")
    assert parse_record(b"30,5,7,c;facility 3, level 6\n") == (7e-6, 6, "facility 3, level 6")
    assert parse_record(b"nonsense") is None


def test_the_machines_kernel_is_kept_where_hosts_are_containers_on_it(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot = {"t": ZERO - 9.0, "level": 5, "text": "Linux version"}
    told = [boot, {"t": ZERO + 9.0, "level": 4, "text": "Out of memory"}]
    monkeypatch.setattr(kernel_log, "read_kernel_log", lambda: iter(told))
    facts = {"virtualization": "systemd-nspawn", "kernel": kernel()}
    (run_dir / "hosts/h1/facts.json").write_text(json.dumps(facts))
    assert not Bundle(run_dir).hears_kernel("h1")
    (line,) = (line for line in lines(run_dir) if line.kind == "kernel")
    assert (line.host, line.level, line.text) == ("machine", 4, "Out of memory")
    assert Bundle(run_dir).hears_kernel("h1") and not Bundle(run_dir).hears_kernel("h2")
    del told[1:]
    assert not build_bundle(run_dir).changed
    assert any(line.kind == "kernel" for line in lines(run_dir))


def test_a_kernel_that_may_not_be_read_or_has_forgotten_is_not_taken_for_a_silent_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(kernel_log, "_KMSG", tmp_path / "none")
        assert kernel_log.news(tmp_path / "x", 0.0, 1.0) is None
    told = {"t": ZERO + 9.0, "level": 4, "text": "Out of memory"}
    monkeypatch.setattr(kernel_log, "read_kernel_log", lambda: iter([told]))
    assert kernel_log.news(tmp_path / "x", ZERO, ZERO + 60) is None
