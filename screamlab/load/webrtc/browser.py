"""Debian's Chromium, driven by Playwright: one process for all tabs of a worker."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Self

from screamlab.errors import InfraError
from screamlab.load.webrtc.outlet import Outlet
from screamlab.load.webrtc.session import ClientGone, Sound

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, Page

PROGRAM = "chromium"
_LAUNCH_MS = 30_000.0
_PAGE_MS = 15_000.0
_FLAGS = (
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-component-update",
    # The last lets a page of the router's reach the worker on loopback without asking anybody.
    "--disable-features=WebRtcHideLocalIpsWithMdns,MediaRouter,LocalNetworkAccessChecks",
    "--disable-gpu",
    "--disable-quic",
    "--disable-renderer-backgrounding",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    "--no-sandbox",
)


class Browser:
    """A running Chromium; use as an asynchronous context manager."""

    def __init__(self, router: str) -> None:
        self.router = router
        self.outlet = Outlet()

    async def __aenter__(self) -> Self:
        """Start it; `InfraError` when it or Playwright is not there or does not start."""
        executable = shutil.which(PROGRAM)
        if executable is None:
            raise InfraError(f"{PROGRAM} is not installed on this host")
        try:
            from playwright.async_api import Error, async_playwright
        except ImportError:
            raise InfraError(
                "the Python package playwright is not installed on this host"
            ) from None
        self._driver = await async_playwright().start()
        try:
            self._browser = await self._driver.chromium.launch(
                executable_path=executable,
                args=list(_FLAGS),
                handle_sigint=False,
                handle_sigterm=False,
                handle_sighup=False,
                timeout=_LAUNCH_MS,
            )
        except Error as error:
            await self._driver.stop()
            raise InfraError(f"{PROGRAM} does not start: {first_line(error)}") from None
        await self.outlet.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        from playwright.async_api import Error

        await self.outlet.__aexit__()
        with contextlib.suppress(Error):
            await self._browser.close()
        await self._driver.stop()

    async def tab(self, address: str) -> Tab:
        """A new tab that asks the router as `address`, with cookies and storage of its own.

        `ClientGone` when the browser is gone, `InfraError` when it opens none.
        """
        if not self._browser.is_connected():
            raise ClientGone(f"{PROGRAM} is gone")
        from playwright.async_api import Error

        try:
            context = await self._browser.new_context(
                ignore_https_errors=True, extra_http_headers={"X-Forwarded-For": address}
            )
            context.set_default_timeout(_PAGE_MS)
            return Tab(self, context, await context.new_page())
        except Error as error:
            raise InfraError(f"{PROGRAM} opens no tab: {first_line(error)}") from None


class Tab:
    """One page, and what it tells the worker; `gone` once it crashed or was closed."""

    def __init__(self, browser: Browser, context: BrowserContext, page: Page) -> None:
        self._browser = browser
        self._context = context
        self.page = page
        self.gone = False
        page.on("crash", self._end)
        page.on("close", self._end)

    async def open(self, path: str) -> None:
        """Go to a page of the router's; `InfraError` when it does not come."""
        from playwright.async_api import Error

        try:
            await self.page.goto(self._browser.router + path, wait_until="domcontentloaded")
        except Error as error:
            raise InfraError(f"{PROGRAM} cannot open {path}: {first_line(error)}") from None

    async def tap(self, sound: Sound, on_message: Callable[[dict[str, Any]], None]) -> None:
        """Put `tap.js` into the page: its sound goes to `sound`, its messages to `on_message`."""
        url = self._browser.outlet.url(lambda pcm: sound.take(pcm, time.time()), on_message)
        await self.run(script("tap.js"), {"socket": url})

    async def run(self, code: str, argument: object = None) -> Any:
        """Evaluate JavaScript in the page; `InfraError` with what it throws."""
        from playwright.async_api import Error

        try:
            return await self.page.evaluate(code, argument)
        except Error as error:
            raise InfraError(thrown(error)) from None

    def _end(self, _page: Page) -> None:
        self.gone = True

    async def close(self) -> None:
        """Close the tab; a browser that is gone already is no error."""
        from playwright.async_api import Error

        with contextlib.suppress(Error):
            await self._context.close()


@cache
def script(name: str) -> str:
    """The text of one of the package's scripts."""
    return (files(__package__) / name).read_text()


def first_line(error: Exception) -> str:
    """What an error of Playwright says, without its call log."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def thrown(error: Exception) -> str:
    """What a page's script threw, without Playwright's frame around it."""
    return first_line(error).removeprefix("Page.evaluate: ").removeprefix("Error: ")
