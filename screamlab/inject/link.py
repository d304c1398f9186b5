"""Broken links that are not as the lab made them, or were not healed by it."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from screamlab.agent.context import WorkerContext
from screamlab.impair.commands import carry_out, tc
from screamlab.impair.tc import BAND, NETEM, ROOT
from screamlab.inject.fault import Fault, Place


class Tamper(Fault):
    """Somebody else changes the delay of an impairment that is at work.

    Nothing is to be undone: the impairment ends, and what it has put there with it.
    """

    kind: Literal["tamper"]
    delay_ms: float = Field(gt=0)

    of_link: ClassVar[bool] = True

    def plant(self, place: Place, context: WorkerContext) -> None:
        """See `Fault.plant`."""
        netem = ("parent", BAND, "handle", NETEM, "netem", "limit", "10000")
        delay = ("delay", f"{self.delay_ms:g}ms")
        carry_out([tc("qdisc", "change", "dev", place.device, *netem, *delay)])
        context.sleep_until(context.to_s)


class Residue(Fault):
    """A qdisc is left after an impairment, which breaks nothing by itself.

    Whoever undid it would undo the fault: that is what the lab's own healing is there for.
    """

    kind: Literal["residue"]

    of_link: ClassVar[bool] = True

    def plant(self, place: Place, context: WorkerContext) -> None:
        """See `Fault.plant`."""
        carry_out([tc("qdisc", "add", "dev", place.device, "root", "handle", ROOT, "pfifo")])
        context.sleep_until(context.to_s)
