"""A run's zero, and how far the hosts' clocks are from the controller's, asked over SSH.

The way NTP asks (RFC 5905, section 8): of several exchanges the one with the shortest round trip
tells most, and the truth lies within half of it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import paramiko

from screamlab.errors import BadInput
from screamlab.inventory import Ssh
from screamlab.run.channel import connect
from screamlab.run.record import read_record, write_record

EXCHANGES = 8
_ANSWER = "import sys,time\nfor _ in sys.stdin: print(time.time(), flush=True)"


@dataclass(frozen=True)
class Offset:
    """A host's clock minus the controller's in ms, known to within ± `bound_ms`."""

    offset_ms: float
    bound_ms: float


def start_clock(folder: Path, lead_s: float, router: Mapping[str, Any]) -> dict[str, Any]:
    """Fix the run's zero at `lead_s` seconds from now; a run has one zero, and keeps it.

    `router` is what is known by now of the router that runs; it is written down as well.
    """
    record = read_record(folder)
    if record["zero"] is not None:
        raise BadInput(f"{folder}: this run was started before; plan a new one")
    record["router"] = {**record["router"], **router}
    record["clocks"] = {
        name: asdict(offset) for name, offset in measure_clocks(record["hosts"]).items()
    }
    record["zero"] = round(time.time() + lead_s, 3)
    write_record(folder, record)
    return record


def best_offset(exchanges: list[tuple[float, float, float]]) -> Offset:
    """The offset from (asked, host's answer, answered) unix times; the quickest one counts."""
    asked, told, answered = min(exchanges, key=lambda times: times[2] - times[0])
    offset_s = told - (asked + answered) / 2
    return Offset(round(1e3 * offset_s, 3), round(1e3 * (answered - asked) / 2, 3))


def measure_clocks(hosts: Mapping[str, Mapping[str, Any]]) -> dict[str, Offset]:
    """Ask every host (name → its part of ``run.json``); one that cannot be asked is left out."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        found = pool.map(lambda host: _ask(Ssh.model_validate(host["ssh"])), hosts.values())
        return {name: offset for name, offset in zip(hosts, found, strict=True) if offset}


def _ask(ssh: Ssh) -> Offset | None:
    try:
        with connect(ssh) as client:
            questions, answers, _ = client.exec_command(f"/usr/bin/python3 -c '{_ANSWER}'")
            exchanges = []
            for _ in range(EXCHANGES):
                asked = time.time()
                questions.write("\n")
                questions.flush()
                exchanges.append((asked, float(answers.readline()), time.time()))
            return best_offset(exchanges)
    except (OSError, EOFError, ValueError, paramiko.SSHException):
        return None
