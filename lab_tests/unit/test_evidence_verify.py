"""A bundle that was tampered with says so in one sentence, and is judged all the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from screamlab.cli import main
from screamlab.errors import BadInput
from screamlab.evidence.build import build_bundle, list_anew
from screamlab.evidence.bundle import Bundle
from screamlab.evidence.verify import altered
from screamlab.judge.canary import CanaryRun
from screamlab.judge.canary_bundle import write
from screamlab.run.record import note

CHECKS = [{"id": "router.alive"}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(CanaryRun(CHECKS, hold_s=20.0), tmp_path / "run")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


TAMPERED: list[tuple[Callable[[Path], None], str]] = [
    (lambda run: flip(run / "events.jsonl"), "events.jsonl does not match its checksum"),
    (lambda run: (run / "plans/client1.json").unlink(), "plans/client1.json is gone"),
    (lambda run: (run / "hosts/client1/series-w.jsonl").write_text(""),
     "hosts/client1/series-w.jsonl does not match"),
]  # fmt: skip


@pytest.mark.parametrize(("tamper", "sentence"), TAMPERED)
def test_what_does_not_match_is_named(
    folder: Path, tamper: Callable[[Path], None], sentence: str
) -> None:
    assert altered(folder) is None
    tamper(folder)
    told = altered(folder)
    assert told and sentence in told and "\n" not in told


def test_several_are_one_sentence(folder: Path) -> None:
    for name in ("events.jsonl", "series.parquet"):
        flip(folder / name)
    assert "(and 1 more of " in str(altered(folder))


def test_judge_says_so_and_judges_what_is_there(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "plans/client1.json").write_text((folder / "plans/client1.json").read_text() + " ")
    assert main(["judge", str(folder)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert "plans/client1.json does not match its checksum" in said[0]
    assert said[-1].startswith("PASS")


def test_what_the_controller_writes_later_is_listed_anew(folder: Path) -> None:
    note(folder, wall_s=12.5)
    (folder / "ansible.log").write_text("PLAY\n")
    assert "run.json does not match" in str(altered(folder))
    list_anew(folder)
    assert altered(folder) is None
    listed = {entry["path"] for entry in Bundle(folder).manifest["files"]}
    assert {"ansible.log", "run.json", "events.jsonl", "plans/client1.json"} <= listed
    assert not build_bundle(folder).changed


def test_a_spool_that_changed_is_not_listed_anew(folder: Path) -> None:
    flip(folder / "hosts/client1/events-w.jsonl")
    list_anew(folder)
    assert "hosts/client1/events-w.jsonl" in str(altered(folder))


def test_a_run_that_was_not_collected_has_nothing_to_match(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"run_id": "r", "zero": null}')
    assert altered(tmp_path) is None
    list_anew(tmp_path)
    assert not (tmp_path / "manifest.json").exists()


def test_a_bundle_of_another_schema_is_refused(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "schema_version": 2}))
    with pytest.raises(BadInput, match="schema version 2, this screamlab reads 1"):
        Bundle(folder)
