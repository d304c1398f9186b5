"""Filters: who takes the hosts of a lab, and whether somebody who took them is gone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def lab_holder(run_id: str) -> dict[str, Any]:
    """This playbook as the holder that ``lab_lock`` takes; it works for a run, or for nobody."""
    # Ansible loads every filter in every process it forks, and this takes longer than most tasks.
    from screamlab.run.holder import this_holder

    return this_holder(run_id)


def lab_holder_is_gone(holder: Mapping[str, Any]) -> bool:
    """Whether the playbook of a holder is known to have ended; False where it cannot be known."""
    from screamlab.run.holder import is_gone

    return is_gone(holder)


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """The filters of this file."""
        return {"lab_holder": lab_holder, "lab_holder_is_gone": lab_holder_is_gone}
