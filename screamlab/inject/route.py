"""Sound that is led astray: the router is configured behind the plan's back."""

from __future__ import annotations

from contextlib import suppress
from typing import Literal

from screamlab.agent.context import WorkerContext
from screamlab.inject.fault import Fault, Place
from screamlab.router import topology
from screamlab.router.client import RouterClient, RouterError
from screamlab.router.topology import Change

_TIMEOUT_S = 5.0


class Route(Fault):
    """A `source` is heard at a `sink`, beside what belongs there, or `instead_of` it."""

    kind: Literal["route"]
    source: str
    sink: str
    instead_of: str | None = None

    def plant(self, place: Place, context: WorkerContext) -> None:
        """See `Fault.plant`."""
        with RouterClient(place.router, timeout_s=_TIMEOUT_S) as client:
            topology.apply(client, [self._change()])
        context.sleep_until(context.to_s)

    def undo(self, place: Place) -> None:
        """See `Fault.undo`."""
        # A router that is gone has forgotten it.
        with RouterClient(place.router, timeout_s=_TIMEOUT_S) as client, suppress(RouterError):
            topology.apply(client, [self._change(back=True)])

    def _change(self, *, back: bool = False) -> Change:
        """What is done to the router's routes, which are named as the compiler names them."""
        own = self.instead_of or self.source
        source = own if back else self.source
        route = topology.Route(name=f"{own}-to-{self.sink}", source=source, sink=self.sink)
        name = topology.PREFIX + route.name
        if self.instead_of:
            return Change("update", "routes", name, route.fields())
        return Change("remove" if back else "add", "routes", name, {} if back else route.fields())
