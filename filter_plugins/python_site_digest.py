"""Filter: what the packages of a host's Python environment are known by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def python_site_digest(
    requirements: Sequence[str],
    python: str,
    machine: str,
    *,
    constraints: str,
    checkout: str = "",
    overlay: str = "",
) -> str:
    """The digest that the module ``python_site`` gives what it makes of the same options."""
    # Ansible loads every filter in every process it forks, and this takes longer than most tasks.
    from screamlab.python_site import Target, site_digest

    def path(name: str) -> Path | None:
        return Path(name).expanduser() if name else None

    return site_digest(
        requirements,
        Target(python, machine),
        constraints=path(constraints),
        checkout=path(checkout),
        overlay=path(overlay),
    )


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """The filters of this file."""
        return {"python_site_digest": python_site_digest}
