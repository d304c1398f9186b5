"""One listener, to be opened and closed as often as wanted, whatever it listens with."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from typing import Protocol

from screamlab.errors import InfraError
from screamlab.router.client import RouterError

PREPARE_S = 3.0
"""A session that is prepared this long before it opens is not late."""


class ClientGone(InfraError):
    """The client itself is gone, so that it cannot connect again: no fault of the router's."""


class Sound(Protocol):
    """Who a session hands its sound to; see the kinds of `screamlab.load.webrtc.ear.Ear`."""

    def take(self, pcm: bytes, arrival: float, timestamp: int = 0) -> None:
        """16-bit little-endian stereo that was there at `arrival` (unix s).

        From a browser it is what was played until then, from aiortc a packet and its timestamp.
        """


class Session(ABC):
    """A listener of one sink. Use: `prepare` (may be left out), `open`, `close`, again `open` …"""

    def __init__(self) -> None:
        # Where the router has the open connection: Location of its answer (draft-ietf-wish-whep).
        self._location: str | None = None
        self._lost: str | None = None
        self._figures: dict[str, float] = {}

    @property
    def lost(self) -> str | None:
        """Why the open connection has ended by itself; None while it has not."""
        return self._lost

    @property
    def listener(self) -> str | None:
        """The router's name for the open connection."""
        return self._location and self._location.rpartition("/")[2]

    @property
    def figures(self) -> dict[str, float]:
        """The newest figures of the connection; counts since it began."""
        return self._figures

    @abstractmethod
    async def prepare(self) -> None:
        """Everything that costs time before the router is asked; `ScreamlabError` if it fails."""

    @abstractmethod
    async def open(self) -> float:
        """Connect; the milliseconds from the offer to ICE's connection.

        A `ScreamlabError` says in one sentence why there is none; the session is closed then.
        """

    @abstractmethod
    async def close(self) -> None:
        """Leave the router; a session that is not open stays so.

        A `RouterError` says that the router did not let it go; it is closed all the same.
        """

    async def end(self) -> None:
        """Close, and give up what was prepared; raises nothing."""
        with contextlib.suppress(RouterError):
            await self.close()
