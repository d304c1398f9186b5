"""Filter: the inventory's hosts in the form the scenario compiler takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def plan_hosts(
    groups: Mapping[str, Sequence[str]], hostvars: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Every host of the inventory: its name, its groups, and the variables that matter here."""
    # Ansible loads every filter in every process it forks, and this takes longer than most tasks.
    from screamlab.inventory import VARIABLES

    return [
        {
            "name": name,
            "groups": [group for group, members in groups.items() if name in members],
            "variables": {key: hostvars[name][key] for key in VARIABLES if key in hostvars[name]},
        }
        for name in groups["all"]
    ]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """The filters of this file."""
        return {"plan_hosts": plan_hosts}
