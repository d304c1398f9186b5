"""What the events of a playbook say of why a run could not be carried out."""

from __future__ import annotations

from pathlib import Path

import pytest

from screamlab.run.drive import Playbook
from screamlab.run.record import was_refused, write_infra


@pytest.mark.parametrize(("role", "refused"), [("lab_lock", True), ("router", False)])
def test_a_run_whose_hosts_somebody_else_has_is_refused(
    tmp_path: Path, role: str, refused: bool
) -> None:
    job = Playbook(Path("inventory"), {})
    told = {"role": role, "host": "router1", "res": {"msg": "taken by root on elsewhere"}}
    job._handle({"event": "runner_on_failed", "event_data": told}, None)
    assert (job.first_failure, job.refused) == ("router1: taken by root on elsewhere", refused)
    write_infra(tmp_path, job.first_failure, refused=job.refused)
    assert was_refused(tmp_path) is refused


def test_a_run_that_was_not_stopped_was_not_refused(tmp_path: Path) -> None:
    assert was_refused(tmp_path) is False
