"""From what workers took to what a client costs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from screamlab.judge.canary import CLIENTS, CanaryRun
from screamlab.judge.view import Run
from screamlab.scenario.bench import COSTS_FILE, MIB, Usage, cost, usages, write
from screamlab.scenario.capacity import Cost, costs


def test_the_base_is_told_from_the_share_of_each_client() -> None:
    found = cost([Usage(1, 12.0, 150.0), Usage(2, 20.0, 200.0), Usage(3, 28.0, 250.0)])
    assert found == Cost(cpu_percent=8.0, mib=50, base_cpu_percent=4.0, base_mib=100)


def test_more_clients_that_take_less_are_no_gain() -> None:
    found = cost([Usage(1, 3.0, 28.0), Usage(2, 5.0, 24.0)])
    assert found == Cost(cpu_percent=2.0, mib=0, base_cpu_percent=1.0, base_mib=26)


def test_what_workers_take_in_the_hold_is_read_from_the_run() -> None:
    run = CanaryRun()
    t = np.arange(0.0, run.duration_s)
    for host in CLIENTS:
        for worker in run.plans[host].workers:
            subject, in_hold = f"process/worker/{worker.name}", (t >= 20) & (t < 60)
            run.put(host, subject, "cpu_percent", t, np.where(in_hold, 3.0, 90.0))
            run.put(host, subject, "pss_bytes", t, 50.0 * MIB)
    found = list(usages(Run(run)))
    assert {kind for kind, _ in found} == {"native_sender", "native_receiver"}
    assert {usage for _, usage in found} == {Usage(1, 3.0, 50.0)}


def test_where_all_had_as_many_there_is_no_base() -> None:
    assert cost([Usage(2, 8.0, 100.0), Usage(2, 12.0, 120.0)]) == Cost(cpu_percent=5, mib=55)


def test_a_table_that_is_written_reads_the_same_and_keeps_its_comment(tmp_path: Path) -> None:
    file = tmp_path / "costs.yml"
    file.write_text(COSTS_FILE.read_text())
    write(file, costs())
    table = {kind: Cost(**one) for kind, one in yaml.safe_load(file.read_text()).items()}
    assert table == costs()
    comment = [line for line in COSTS_FILE.read_text().splitlines() if line.startswith("#")]
    assert file.read_text().splitlines()[1 : 1 + len(comment)] == comment
