"""The modules of the evidence's way: change, check and diff, idempotent, idempotent and check."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from screamlab.evidence.spool import Spool

Call = Callable[..., dict[str, Any]]


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    folder = tmp_path / "spool"
    writer = Spool(folder, writer="w", host="h1")
    writer.event("a.b", "x", t=1.0)
    writer.series("p", {"n": 1}, t=1.0)
    writer.close()
    return folder


def test_spool_archive(call: Call, spool: Path, tmp_path: Path) -> None:
    archive = tmp_path / "out/r1.tar.gz"
    params = {"path": spool, "archive": archive}
    foretold = call("spool_archive", check=True, **params)
    assert foretold["changed"] and foretold["diff"]["after"] and not archive.exists()
    packed = call("spool_archive", **params)
    assert packed["changed"] and archive.exists()
    assert (packed["files"], packed["archive_bytes"]) == (2, archive.stat().st_size)
    again = call("spool_archive", **params)
    assert not again["changed"] and again["sha256"] == packed["sha256"]
    assert not call("spool_archive", check=True, **params)["changed"]


def test_spool_archive_purged(call: Call, spool: Path, tmp_path: Path) -> None:
    params = {"path": spool, "archive": tmp_path / "out/r1.tar.gz"}
    packed = call("spool_archive", **params)
    params |= {"state": "purged", "sha256": packed["sha256"]}
    foretold = call("spool_archive", check=True, **params)
    assert foretold["changed"] and str(spool) in foretold["diff"]["before"] and spool.exists()
    assert call("spool_archive", **params)["changed"] and not spool.exists()
    assert not call("spool_archive", **params)["changed"]
    assert not call("spool_archive", check=True, **params)["changed"]


def test_spool_archive_without_a_spool_fails_in_one_sentence(call: Call, tmp_path: Path) -> None:
    answer = call("spool_archive", path=tmp_path / "none", archive=tmp_path / "a.tar.gz")
    assert answer["failed"] and answer["msg"] == f"{tmp_path / 'none'}: no such spool"


def test_evidence_unpack(call: Call, spool: Path, tmp_path: Path) -> None:
    packed = call("spool_archive", path=spool, archive=tmp_path / "r1.tar.gz")
    host_dir = tmp_path / "run/hosts/h1"
    params = {"archive": packed["archive"], "sha256": packed["sha256"], "host_dir": host_dir}
    foretold = call("evidence_unpack", check=True, **params)
    assert foretold["changed"] and "events-w.jsonl" in foretold["diff"]["after"]
    assert not host_dir.exists()
    unpacked = call("evidence_unpack", **params)
    assert unpacked["changed"] and unpacked["files"] == ["events-w.jsonl", "series-w.jsonl"]
    assert not call("evidence_unpack", **params)["changed"]
    assert not call("evidence_unpack", check=True, **params)["changed"]
    wrong = call("evidence_unpack", **params | {"sha256": "0" * 64})
    assert wrong["failed"] and "damaged" in wrong["msg"]


def test_evidence_bundle(call: Call, spool: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "r1"
    (run_dir / "hosts").mkdir(parents=True)
    spool.rename(run_dir / "hosts/h1")
    (run_dir / "run.json").write_text('{"run_id": "r1", "zero": 0}')
    params = {"run_dir": run_dir, "failures": {"h1": "", "h2": "no route"}}
    foretold = call("evidence_bundle", check=True, **params)
    assert foretold["changed"] and foretold["diff"]["after"]
    assert not (run_dir / "manifest.json").exists()
    built = call("evidence_bundle", **params)
    assert (built["changed"], built["events"], built["values"]) == (True, 1, 1)
    assert built["missing_hosts"] == {"h2": "no route"}
    assert not call("evidence_bundle", **params)["changed"]
    assert not call("evidence_bundle", check=True, **params)["changed"]


def test_evidence_bundle_of_no_run_fails_in_one_sentence(call: Call, tmp_path: Path) -> None:
    answer = call("evidence_bundle", run_dir=tmp_path)
    assert answer["failed"] and "not a run folder" in answer["msg"]
