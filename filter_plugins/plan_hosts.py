"""Filter: the inventory's hosts in the form the scenario compiler takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# The variables of a host that a plan or the run's record depends on.
_VARIABLES = (
    "ansible_host",
    "ansible_port",
    "ansible_user",
    "ansible_ssh_private_key_file",
    "ansible_ssh_common_args",
    "screamlab_data",
    "screamlab_impairment_point",
    "screamlab_metrics",
)


def plan_hosts(
    groups: Mapping[str, Sequence[str]], hostvars: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Every host of the inventory: its name, its groups, and the variables that matter here."""
    return [
        {
            "name": name,
            "groups": [group for group, members in groups.items() if name in members],
            "variables": {key: hostvars[name][key] for key in _VARIABLES if key in hostvars[name]},
        }
        for name in groups["all"]
    ]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """The filters of this file."""
        return {"plan_hosts": plan_hosts}
