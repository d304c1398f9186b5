"""The router's own listening page, used as a person does: open it, press play, hear, stop.

ScreamRouter's page ``/site/listen/sink/NAME`` begins to listen by itself; where it does not, its
button is pressed. Its tutorial, which would cover it, is marked as seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from screamlab.agent.context import WorkerContext
from screamlab.errors import InfraError, ScreamlabError
from screamlab.load.pacing import ahead_of_others
from screamlab.load.webrtc.attend import attend, check, sink_of
from screamlab.load.webrtc.browser import Browser, Tab, first_line, script
from screamlab.load.webrtc.ear import PlayedEar, alternates
from screamlab.load.webrtc.session import Session, Sound
from screamlab.load.webrtc.tab_session import LIGHT_PAGE, TabSession
from screamlab.scenario.plan import ReceiverStream

if TYPE_CHECKING:
    from playwright.async_api import ConsoleMessage, Response

_PLAYING_S = 20.0
_PATIENCE_S = 6.0
"""The page is given this long to play by itself before its button is pressed."""

_LOOK_S = 0.2
_PRESS_MS = 2000.0
_MOST_ERRORS = 20
_ERROR_CHARACTERS = 300
_START = re.compile("^Listen to ")
_STOP = re.compile("^Stop Listening")
_TUTORIAL_SEEN = """async () => {
  const seen = { completed: true, current_step: 0, completed_steps: [], version: 3 };
  const headers = { "Content-Type": "application/json" };
  const body = JSON.stringify({ tutorial: seen });
  const answer = await fetch("/preferences", { method: "PUT", headers, body });
  if (!answer.ok) throw new Error(`PUT /preferences was refused (${answer.status})`);
}"""


def run(spec: dict[str, Any], context: WorkerContext) -> None:
    """Listen to every stream of ``spec["streams"]`` with the page of ``spec["router"]``.

    Events of ``page/NAME``: ``page.opened``, ``page.playing`` and ``page.heard`` with the
    milliseconds since it was asked for, ``page.error`` for what its console says. A picture of it
    goes to ``page-NAME.png``. Errors as `chromium.run`.
    """
    streams = [ReceiverStream.model_validate(item) for item in spec["streams"]]
    check(streams, "the router's page")
    ahead_of_others()
    asyncio.run(_listen(spec["router"], streams, context))


async def _listen(router: str, streams: list[ReceiverStream], context: WorkerContext) -> None:
    async with Browser(router) as browser:

        def make(stream: ReceiverStream, sound: Sound) -> Session:
            return PageSession(browser, stream, sound, context)

        await attend(streams, make, PlayedEar, context)


class PageSession(TabSession):
    """A person at the router's page; what the page plays goes to `sound`."""

    def __init__(
        self, browser: Browser, stream: ReceiverStream, sound: Sound, context: WorkerContext
    ) -> None:
        super().__init__(browser, sink_of(stream), stream.local.address)
        self._sound = sound
        self._context = context
        self._name = stream.name
        self._asked = 0.0
        self._heard = False
        self._errors = 0

    async def prepare(self) -> None:
        """A new tab, as empty as a person's first one."""
        if self._tab is not None and not self._tab.gone:
            return
        tab = await self._browser.tab(self._whep.address)
        tab.page.on("console", self._said)
        tab.page.on("pageerror", lambda error: self._complain(first_line(error)))
        tab.page.on("response", self._answered)
        try:
            await tab.page.add_init_script(script("hook.js"))
            await tab.open(LIGHT_PAGE)
            await tab.run(_TUTORIAL_SEEN)
        except InfraError:
            await tab.close()
            raise
        self._tab = tab

    async def open(self) -> float:
        """Open the page and wait until it plays; see `Session.open`."""
        await self.prepare()
        assert self._tab is not None
        self._lost, self._figures, self._heard = None, {}, False
        self._asked = time.time()
        try:
            await self._tab.open(f"/site/listen/sink/{quote(self._whep.sink, safe='')}")
            self._tell("page.opened")
            await self._tab.tap(self, self._told)
            connect_ms = await self._playing(self._tab)
        except ScreamlabError:
            await self._picture()
            await self.end()
            raise
        self._tell("page.playing")
        return connect_ms

    def take(self, pcm: bytes, arrival: float, timestamp: int = 0) -> None:
        """See `Sound`."""
        if not self._heard and alternates(pcm):
            self._heard = True
            self._tell("page.heard")
        self._sound.take(pcm, arrival, timestamp)

    async def close(self) -> None:
        """Press stop; a page that does not leave by that leaves through us."""
        if self._tab is None or self._location is None:
            return
        await self._picture()
        await self._press(self._tab, _STOP)
        location, self._location = self._location, None
        await asyncio.to_thread(self._whep.leave, location)

    async def _playing(self, tab: Tab) -> float:
        began = time.monotonic()
        pressed = False
        while (waited := time.monotonic() - began) < _PLAYING_S:
            connect_ms = await tab.run(script("page.js"))
            if connect_ms is not None:
                return float(connect_ms)
            if waited > _PATIENCE_S and not pressed:
                pressed = True
                await self._press(tab, _START)
            await asyncio.sleep(_LOOK_S)
        if not await asyncio.to_thread(self._whep.is_known):
            raise InfraError(f"the router has no sink '{self._whep.sink}'")
        raise InfraError(f"the router's page does not play within {_PLAYING_S:g} s")

    async def _press(self, tab: Tab, button: re.Pattern[str]) -> None:
        from playwright.async_api import Error

        with contextlib.suppress(Error):
            await tab.page.get_by_role("button", name=button).click(timeout=_PRESS_MS)

    async def _picture(self) -> None:
        from playwright.async_api import Error

        assert self._tab is not None
        path: Path = self._context.directory / f"page-{self._name.replace('/', '-')}.png"
        with contextlib.suppress(Error):
            await self._tab.page.screenshot(path=path)

    def _answered(self, response: Response) -> None:
        if response.status == 201 and urlsplit(response.url).path.startswith("/api/whep/"):
            self._location = response.headers.get("location")

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._complain(message.text)

    def _complain(self, said: str) -> None:
        self._errors += 1
        if self._errors <= _MOST_ERRORS:
            error = said[:_ERROR_CHARACTERS]
            self._context.spool.event("page.error", f"page/{self._name}", error=error)

    def _tell(self, kind: str) -> None:
        ms = round((time.time() - self._asked) * 1000, 3)
        self._context.spool.event(kind, f"page/{self._name}", ms=ms)
