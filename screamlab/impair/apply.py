"""Impair a device, or take it off one direction: armed before anything changes, seen afterwards."""

from __future__ import annotations

import time
from dataclasses import dataclass

from screamlab.errors import InfraError
from screamlab.impair import commands, deadman, guard, heal, kernel, marks
from screamlab.impair.commands import Command
from screamlab.impair.condition import Selector
from screamlab.impair.device import Device, Wanted, observe, refuse_foreign
from screamlab.impair.plan import plan


@dataclass(frozen=True)
class Prepared:
    """What is to be done to a device, which was allowed, and as what it was found."""

    device: Device
    wanted: Wanted
    commands: tuple[Command, ...]


def prepare(
    name: str, wanted: Wanted, selector: Selector | None, controller: str | None = None
) -> Prepared:
    """Look, and say what has to be done; changes nothing.

    `InfraError` when it must not be: foreign qdiscs, or the controller would be cut off.
    """
    device = observe(name)
    refuse_foreign(device, wanted)
    if any(wanted.values()):
        guard.refuse_cut_off(name, selector, controller)
        kernel.require(wanted)
    return Prepared(device, wanted, tuple(plan(device, wanted, marks.tables(name))))


def arm(prepared: Prepared, revert_after_s: float) -> str:
    """Mark the device and have it healed in `revert_after_s` seconds; return by which dead man.

    What is there is healed then too, whichever direction it is of.
    """
    name = prepared.device.name
    tables = dict(marks.tables(name))
    for direction, half in prepared.wanted.items():
        tables.pop(direction, None)
        if half and half.netem.table:
            tables[direction] = half.netem.table
    marks.write(marks.Mark(name, time.time() + revert_after_s, tables))
    return deadman.arm(name, revert_after_s)


def carry_out(prepared: Prepared) -> Device:
    """Do it, on an armed device, and see that it is done; else heal the device and say why not."""
    name = prepared.device.name
    try:
        commands.put_tables(half.table for half in prepared.wanted.values() if half)
        commands.carry_out(prepared.commands)
        device = observe(name)
        left = plan(device, prepared.wanted, marks.tables(name))
        if left:
            raise InfraError(f"{name} is not as asked; still to do: {left[0]}")
    except InfraError as error:
        problem = heal.device(name)
        raise InfraError(f"{error}; {problem or 'healed'}") from error
    return device


def remove(prepared: Prepared) -> Device:
    """Take off what is not wanted, and everything that watches the device if nothing is left."""
    name = prepared.device.name
    commands.carry_out(prepared.commands)
    device = observe(name)
    if device.egress.netem is None and device.ingress.netem is None:
        problem = heal.device(name)
        if problem:
            raise InfraError(problem)
    return device
