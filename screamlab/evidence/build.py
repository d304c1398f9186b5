"""Building a run's bundle on the controller from what was collected of each host.

In `runs/<run-id>/`: the lead files `run.json`, `scenario.yml`, `plans/<host>.json`, and per host
`hosts/<host>/` (its spool: `events-*.jsonl`, `series-*.jsonl`, `facts.json`, the journal, logs).
Built from them: `events.jsonl`, `series.parquet`, `timeline.jsonl.gz`, `collection.json` and
`manifest.json`. Broken lines are counted per file and never fatal. Building again from the same
files changes nothing. Where hosts run on this machine's kernel, what it said is kept beside them.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from screamlab import __version__
from screamlab.errors import BadInput, InfraError
from screamlab.evidence.bundle import SCHEMA_VERSION, VERDICT_FILE, optional_document
from screamlab.evidence.kernel_log import KERNEL_FILE, is_ours, news
from screamlab.evidence.merge import merge_events
from screamlab.evidence.pack import sha256_of
from screamlab.evidence.packets import PACKETS_FILE
from screamlab.evidence.series import build_series
from screamlab.evidence.timeline import TIMELINE_FILE, write_timeline

_OWN_FILES = {
    "events.jsonl", "series.parquet", TIMELINE_FILE, "collection.json", "manifest.json",
}  # fmt: skip
# Written by later steps (judge, report); not evidence.
_LATER_FILES = {VERDICT_FILE, "junit.xml", "report.html", PACKETS_FILE}


@dataclass(frozen=True)
class Built:
    """What a build made: counts, broken lines by file, hosts missing with the reason."""

    changed: bool
    events: int
    values: int
    broken_lines: dict[str, int]
    missing_hosts: dict[str, str]


def build_bundle(
    run_dir: Path, outcomes: Mapping[str, str | None] | None = None, *, dry: bool = False
) -> Built:
    """Build the bundle of a run; with `dry` only tell whether that would change anything.

    `outcomes` says how collecting went: host to None for collected or to the reason why not. A
    host that was collected earlier stays so. `BadInput` when there is no such run, `InfraError`
    when the controller's disk is full.
    """
    if not (run_dir / "run.json").is_file():
        raise BadInput(f"{run_dir}: not a run folder: it has no run.json")
    try:
        return _build(run_dir, outcomes or {}, dry)
    except OSError as error:
        raise InfraError(f"{run_dir}: cannot build the bundle: {error}") from error
    except duckdb.Error as error:
        raise InfraError(f"{run_dir}: cannot build series.parquet: {error}") from error


def _build(run_dir: Path, outcomes: Mapping[str, str | None], dry: bool) -> Built:
    before = optional_document(run_dir / "manifest.json")
    meta = optional_document(run_dir / "run.json")
    heard = _kernel_news(run_dir, meta)
    if heard is not None and not dry:
        (run_dir / KERNEL_FILE).write_bytes(heard)
    hosts = _collection(run_dir, outcomes)
    sources = [_describe(run_dir, path) for path in _source_files(run_dir)]
    if heard is None and _is_current(run_dir, before, hosts, sources):
        return _built(before, changed=False)
    if dry:
        return _built(before or _EMPTY, changed=True)
    spools = sorted((run_dir / "hosts").glob("*/*.jsonl"))
    events, broken_events = merge_events(_kind(spools, "events"), run_dir / "events.jsonl")
    values, broken_series = build_series(_kind(spools, "series"), run_dir / "series.parquet")
    lines = write_timeline(run_dir, meta)
    broken = {
        path.relative_to(run_dir).as_posix(): count
        for path, count in sorted((broken_events | broken_series).items())
        if count
    }
    write_json(run_dir / "collection.json", hosts)
    own = [run_dir / name for name in sorted(_OWN_FILES - {"manifest.json"})]
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "run_id": meta.get("run_id", run_dir.name),
        "built_at": time.time(),
        "versions": _versions(),
        "hosts": hosts,
        "events": events,
        "series_values": values,
        "timeline_lines": lines,
        "broken_lines": broken,
        "files": sources + [_describe(run_dir, path) for path in own],
    }
    write_json(run_dir / "manifest.json", manifest)
    return _built(manifest, changed=True)


def list_anew(run_dir: Path) -> None:
    """Enter into the manifest what the controller wrote after the bundle was built.

    That is the files on top: `run.json` learns how long all of it took, and the log of the run
    comes to its end. What was collected stays listed as it was; nothing is done without a manifest.
    """
    manifest = optional_document(run_dir / "manifest.json")
    if not manifest:
        return
    kept = [e for e in manifest["files"] if "/" in e["path"] or e["path"] in _OWN_FILES]
    on_top = [path for path in _source_files(run_dir) if path.parent == run_dir]
    listed = kept + [_describe(run_dir, path) for path in on_top]
    manifest["files"] = sorted(listed, key=lambda entry: str(entry["path"]))
    write_json(run_dir / "manifest.json", manifest)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON document so that a reader sees the old one or the new one, never half."""
    draft = path.with_name(f".{path.name}.part")
    draft.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")
    draft.replace(path)


_EMPTY: dict[str, Any] = {"events": 0, "series_values": 0, "broken_lines": {}, "hosts": {}}


def _built(manifest: Mapping[str, Any], *, changed: bool) -> Built:
    return Built(
        changed=changed,
        events=manifest["events"],
        values=manifest["series_values"],
        broken_lines=manifest["broken_lines"],
        missing_hosts={
            host: state["reason"]
            for host, state in manifest["hosts"].items()
            if state["status"] == "missing"
        },
    )


def _collection(run_dir: Path, outcomes: Mapping[str, str | None]) -> dict[str, dict[str, Any]]:
    """Every host the run has had, and whether anything of it is here."""
    told = optional_document(run_dir / "collection.json")
    planned = {path.stem for path in (run_dir / "plans").glob("*.json")}
    present = {path.parent.name for path in (run_dir / "hosts").glob("*/*.jsonl")}
    states: dict[str, dict[str, Any]] = {}
    for host in sorted({*told, *planned, *present, *outcomes}):
        reason = outcomes.get(host, told.get(host, {}).get("reason"))
        if host in present:
            states[host] = {"status": "collected", "reason": reason}
        else:
            states[host] = {"status": "missing", "reason": reason or "nothing was collected"}
    return states


def _kernel_news(run_dir: Path, meta: Mapping[str, Any]) -> bytes | None:
    """What this machine's kernel said in the run's time, if hosts run on it and it is new."""
    facts = (optional_document(path) for path in (run_dir / "hosts").glob("*/facts.json"))
    zero = meta.get("zero")
    if not zero or not any(map(is_ours, facts)):
        return None
    return news(run_dir / KERNEL_FILE, zero, zero + float(meta.get("duration_s") or 0.0))


def _is_current(
    run_dir: Path,
    manifest: Mapping[str, Any],
    hosts: Mapping[str, Any],
    sources: list[dict[str, Any]],
) -> bool:
    if not manifest or manifest.get("schema_version") != SCHEMA_VERSION:
        return False
    if manifest["hosts"] != hosts or manifest["versions"] != _versions():
        return False
    listed = {entry["path"]: entry for entry in manifest["files"]}
    own = {name: listed.pop(name) for name in sorted(_OWN_FILES & listed.keys())}
    if own.keys() != _OWN_FILES - {"manifest.json"}:
        return False
    if listed != {entry["path"]: entry for entry in sources}:
        return False
    paths = {name: run_dir / name for name in own}
    return all(
        path.is_file() and path.stat().st_size == own[name]["bytes"] for name, path in paths.items()
    )


def _source_files(run_dir: Path) -> list[Path]:
    tops = [path for path in run_dir.iterdir() if path.is_file()]
    skipped = _OWN_FILES | _LATER_FILES
    files = [path for path in tops if path.name not in skipped and path.name[0] != "."]
    for folder in ("hosts", "plans"):
        for top, _, names in os.walk(run_dir / folder):
            files += [Path(top, name) for name in names]
    return sorted(files)


def _describe(run_dir: Path, path: Path) -> dict[str, Any]:
    name = path.relative_to(run_dir).as_posix()
    return {"path": name, "bytes": path.stat().st_size, "sha256": sha256_of(path)}


def _kind(spools: list[Path], kind: str) -> list[Path]:
    return [path for path in spools if path.name.startswith(f"{kind}-")]


def _versions() -> dict[str, str]:
    return {
        "screamlab": __version__,
        "duckdb": duckdb.__version__,
        "python": platform.python_version(),
    }
