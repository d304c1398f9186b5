"""What the supervisor has to know of a kind of host."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Boot:
    """A program that is the host for as long as it runs.

    `reboot` is the exit code with which it asks to be started again.
    """

    command: tuple[str, ...]
    environment: dict[str, str]
    reboot: int
