"""What listeners in a browser's tab have in common."""

from __future__ import annotations

from typing import Any

from screamlab.load.webrtc.browser import Browser, Tab
from screamlab.load.webrtc.session import Session
from screamlab.load.webrtc.whep import Whep

LIGHT_PAGE = "/openapi.json"
"""A page of the router's own origin that does nothing."""


class TabSession(Session):
    """A listener of the router's sink `sink` in a tab of `browser`, at an address of its own.

    Its figures are getStats() of the last second; see `tap.js`.
    """

    def __init__(self, browser: Browser, sink: str, address: str) -> None:
        super().__init__()
        self._browser = browser
        self._whep = Whep(browser.router, sink, address)
        self._tab: Tab | None = None

    async def end(self) -> None:
        """See `Session.end`."""
        await super().end()
        if self._tab is not None:
            tab, self._tab = self._tab, None
            await tab.close()

    @property
    def lost(self) -> str | None:
        """See `Session.lost`."""
        return "the tab is gone" if self._tab is None or self._tab.gone else self._lost

    def _told(self, message: dict[str, Any]) -> None:
        """Take what the tab says of its connection."""
        self._figures = message.get("figures", self._figures)
        self._lost = message.get("lost", self._lost)
