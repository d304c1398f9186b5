"""The journal export reader on an export captured from a booted host."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest

from screamlab.evidence.journal import Truncated, parse_export, read_journal
from screamlab.paths import CHECKOUT

EXPORT = CHECKOUT / "lab_tests/data/journal_units.export"


def test_entries_with_time_priority_and_message() -> None:
    entries = list(read_journal(EXPORT))
    assert len(entries) == 5
    binary = entries[3]
    assert binary.message == "two lines\nin one message"
    assert (binary.t, binary.priority, binary.identifier) == (1795447941.944399, 3, "ev-test")
    assert entries[4].message == "plain"


def test_what_systemd_says_about_a_unit_belongs_to_it() -> None:
    entries = list(read_journal(EXPORT, unit="ev-load.service"))
    assert [entry.unit for entry in entries] == ["init.scope"] * 3
    assert "restart counter is at 1" in entries[1].message


def test_cut_at_any_byte_all_entries_before_are_read(tmp_path: Path) -> None:
    whole = EXPORT.read_bytes()
    ends = [len(whole) - len(rest) for rest in _rests(whole)]
    cut = tmp_path / "cut.export"
    for length in range(len(whole)):
        cut.write_bytes(whole[:length])
        complete = sum(end <= length for end in ends)
        assert len(list(read_journal(cut))) == complete


def _rests(whole: bytes) -> list[bytes]:
    file = io.BytesIO(whole)
    return [file.getbuffer()[file.tell() :].tobytes() for _ in parse_export(file)]


def test_a_chain_of_gzip_members_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "journal.export.gz"
    member = gzip.compress(EXPORT.read_bytes())
    path.write_bytes(member + member)
    assert len(list(read_journal(path))) == 10
    path.write_bytes(member + member[: len(member) // 2])
    assert 5 <= len(list(read_journal(path))) < 10


def test_a_length_that_cannot_be_is_no_memory_hog() -> None:
    with pytest.raises(Truncated):
        list(parse_export(io.BytesIO(b"MESSAGE\n" + b"\xff" * 8 + b"x")))
