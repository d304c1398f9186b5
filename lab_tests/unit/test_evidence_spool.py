"""The spool and what a reader makes of it, torn at every byte and on a full disk."""

from __future__ import annotations

import json
import math
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from screamlab.evidence import spool as spool_module
from screamlab.evidence.follow import new_records
from screamlab.evidence.spool import Spool, complete_pieces, read_lines


def spooled(folder: Path) -> Spool:
    return Spool(folder, writer="w", host="h1")


def test_lines_come_back_as_written(tmp_path: Path) -> None:
    spool = spooled(tmp_path)
    spool.event("a.b", "x", t=1.5, late_ms=2)
    spool.series_many([("p", {"n": 1}), ("q", {"n": np.float32(2.5)})], t=2.0)
    spool.close()
    (event,) = read_lines(tmp_path / "events-w.jsonl").records
    assert event == {"t": 1.5, "host": "h1", "kind": "a.b", "subject": "x", "late_ms": 2}
    series = read_lines(tmp_path / "series-w.jsonl").records
    assert [(line["t"], line["subject"], line["values"]) for line in series] == [
        (2.0, "p", {"n": 1}),
        (2.0, "q", {"n": 2.5}),
    ]


def test_a_number_that_is_not_finite_is_null(tmp_path: Path) -> None:
    spool = spooled(tmp_path)
    spool.series("p", {"a": math.nan, "b": math.inf, "c": 1})
    spool.event("a.b", "x", detail={"ppm": [math.nan]})
    assert read_lines(tmp_path / "series-w.jsonl").records[0]["values"] == {
        "a": None,
        "b": None,
        "c": 1,
    }
    assert read_lines(tmp_path / "events-w.jsonl").records[0]["detail"] == {"ppm": [None]}


def test_a_full_file_is_followed_by_another_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "PIECE_BYTES", 200)
    for first in (0, 10):
        spool = spooled(tmp_path)
        for number in range(first, first + 10):
            spool.event("a.b", "x", t=number)
        spool.close()
    pieces = sorted(tmp_path.glob("events-w*.jsonl"))
    complete = complete_pieces(tmp_path)
    assert len(pieces) > 3
    assert len(complete) == len(pieces) - 1
    assert all(200 <= path.stat().st_size < 300 for path in complete)
    times = sorted(record["t"] for path in pieces for record in read_lines(path).records)
    assert times == list(range(20))
    for path in complete:
        path.unlink()
    spooled(tmp_path).event("a.b", "x", t=20)
    left = sorted(path for path in tmp_path.glob("events-w.*.jsonl"))
    assert left[0] in pieces, "the newest was not complete"
    assert read_lines(left[-1]).records[-1]["t"] == 20, "and the numbers go on from there"


def test_torn_at_any_byte_only_the_last_line_is_lost(tmp_path: Path) -> None:
    spool = spooled(tmp_path)
    for number in range(3):
        spool.event("a.b", f"ü{number}", t=number)
    path = tmp_path / "events-w.jsonl"
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        torn = length > 0 and whole[length - 1 : length] != b"\n"
        lines = read_lines(path)
        assert len(lines.records) == whole[:length].count(b"\n")
        assert lines.broken == torn
        again = spooled(tmp_path)
        again.event("a.b", "after")
        again.close()
        lines = read_lines(path)
        assert lines.records[-1]["subject"] == "after"
        assert len(lines.records) == whole[:length].count(b"\n") + 1 + _whole_but_for_newline(
            whole, length
        )


def _whole_but_for_newline(whole: bytes, length: int) -> bool:
    """A line that lacked only its newline becomes whole when the next writer begins."""
    return length > 0 and whole[length : length + 1] == b"\n" and whole[length - 1 : length] == b"}"


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 KiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    folder = tmp_path / "tiny"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_is_told_and_survived(
    tiny_disk: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    spool = spooled(tiny_disk)
    spool.event("first", "x")
    ballast = tiny_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, pytest.raises(OSError):
        while True:
            file.write(bytes(4096))
    for number in range(50):
        spool.series("p", {"n": number, "filling": 10**200})
    told = capfd.readouterr().err
    assert told.count("no space left") == 1
    ballast.unlink()
    spool.series("p", {"n": 99})
    spool.close()
    series = read_lines(tiny_disk / "series-w.jsonl")
    events = read_lines(tiny_disk / "events-w.jsonl").records
    assert events[-1]["kind"] == "spool.lost"
    assert events[-1]["subject"] == "series-w.jsonl"
    numbers = [line["values"]["n"] for line in series.records]
    assert numbers[-1] == 99
    assert events[-1]["lines"] + len(numbers) == 51


def test_garbage_between_lines_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "events-w.jsonl"
    path.write_bytes(b'{"t":1}\n\x00\xff\n[1]\n' + json.dumps({"t": 2}).encode() + b"\n")
    lines = read_lines(path)
    assert [record["t"] for record in lines.records] == [1, 2]
    assert lines.broken == 2


def test_a_file_that_was_collected_and_removed_meanwhile_has_no_news(tmp_path: Path) -> None:
    assert list(new_records(tmp_path / "events-agent.jsonl", {})) == []
