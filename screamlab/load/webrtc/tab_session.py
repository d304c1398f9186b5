"""What listeners in a browser's tab have in common."""

from __future__ import annotations

import contextlib
from typing import Any

from screamlab.load.webrtc.browser import Browser, Tab
from screamlab.load.webrtc.session import Session
from screamlab.load.webrtc.whep import Whep
from screamlab.router.client import RouterError

LIGHT_PAGE = "/openapi.json"
"""A page of the router's own origin that does nothing."""


class TabSession(Session):
    """A listener of the router's sink `sink` in a tab of `browser`, at an address of its own."""

    def __init__(self, browser: Browser, sink: str, address: str) -> None:
        self._browser = browser
        self._whep = Whep(browser.router, sink, address)
        self._tab: Tab | None = None
        self._location: str | None = None
        self._lost: str | None = None
        self._figures: dict[str, float] = {}

    async def end(self) -> None:
        """See `Session.end`."""
        with contextlib.suppress(RouterError):
            await self.close()
        if self._tab is not None:
            tab, self._tab = self._tab, None
            await tab.close()

    @property
    def lost(self) -> str | None:
        """See `Session.lost`."""
        return "the tab is gone" if self._tab is None or self._tab.gone else self._lost

    @property
    def listener(self) -> str | None:
        """See `Session.listener`."""
        return self._location and self._location.rpartition("/")[2]

    @property
    def figures(self) -> dict[str, float]:
        """getStats() of the last second; see `tap.js`."""
        return self._figures

    def _told(self, message: dict[str, Any]) -> None:
        """Take what the tab says of its connection."""
        self._figures = message.get("figures", self._figures)
        self._lost = message.get("lost", self._lost)
