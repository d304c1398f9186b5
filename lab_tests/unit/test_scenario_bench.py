"""From what workers took to what a client costs."""

from __future__ import annotations

from pathlib import Path

import yaml

from screamlab.scenario.bench import COSTS_FILE, Usage, cost, write
from screamlab.scenario.capacity import Cost, costs


def test_the_base_is_told_from_the_share_of_each_client() -> None:
    found = cost([Usage(1, 10.0, 150.0), Usage(2, 21.0, 200.0), Usage(3, 29.0, 250.0)])
    assert found == Cost(cpu_percent=10.0, mib=50, base_mib=100)


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
