"""Filter: where the hosts of an inventory show their part of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def metrics_targets(
    hosts: Sequence[str], hostvars: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Name, address and port of every host that has the variable ``screamlab_metrics``."""
    return [
        {
            "name": name,
            "address": hostvars[name].get("ansible_host", name),
            **hostvars[name]["screamlab_metrics"],
        }
        for name in hosts
        if "screamlab_metrics" in hostvars[name]
    ]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """The filters of this file."""
        return {"metrics_targets": metrics_targets}
