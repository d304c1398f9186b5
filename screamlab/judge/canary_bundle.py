"""A made-up run on disk: its hosts' spools, put together by the lab's own build."""

from __future__ import annotations

import json
from pathlib import Path

from screamlab.evidence.build import build_bundle
from screamlab.evidence.spool import Spool
from screamlab.judge.canary import ZERO, CanaryRun


def write(run: CanaryRun, folder: Path, *, hosts: set[str] | None = None) -> Path:
    """Write a run into `folder` and build its bundle; only `hosts` are collected, or all."""
    (folder / "plans").mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(run.meta))
    for host, plan in run.plans.items():
        (folder / "plans" / f"{host}.json").write_text(plan.model_dump_json())
        if hosts is not None and host not in hosts:
            continue
        spool = Spool(folder / "hosts" / host, writer="w", host=host)
        for event in run.told:
            if event["host"] == host:
                fields = {k: v for k, v in event.items() if k not in ("t", "host")}
                spool.event(fields.pop("kind"), fields.pop("subject"), t=event["t"], **fields)
        for (one, subject, metric), (t, values) in run.data.items():
            if one == host:
                for at_s, value in zip(t, values, strict=True):
                    spool.series(subject, {metric: float(value)}, t=ZERO + float(at_s))
        spool.close()
    build_bundle(folder)
    return folder
