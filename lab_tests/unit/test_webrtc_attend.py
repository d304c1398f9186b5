"""A listener that is lost connects again; one whose client is gone does not try."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from screamlab.agent.context import WorkerContext
from screamlab.errors import InfraError
from screamlab.evidence.spool import Spool, read_lines
from screamlab.load.webrtc.attend import attend
from screamlab.load.webrtc.browser import Browser
from screamlab.load.webrtc.session import ClientGone
from screamlab.scenario.plan import Endpoint, Heard, ReceiverStream

STREAM = ReceiverStream(
    name="web-01",
    protocol="webrtc",
    codec="opus",
    local=Endpoint(address="198.19.0.32", port=0),
    hears=(Heard(sender="rtp-01", signal=0),),
    sink="web",
    from_s=0.0,
    to_s=3.0,
)


class Ear:
    """One that hears nothing."""

    def __init__(self, _stream: ReceiverStream, context: WorkerContext, _first: Any) -> None:
        self.listener = SimpleNamespace(begin=context.zero)

    def restart(self) -> None:
        """See `screamlab.load.webrtc.ear.Ear`."""

    def attend(self, _now: float) -> None:
        """See `screamlab.load.webrtc.ear.Ear`."""

    def close(self) -> None:
        """See `screamlab.load.webrtc.ear.Ear`."""


class Session:
    """It connects once, is lost at once, and then fails as it is told to."""

    figures: dict[str, float] = {}

    def __init__(self, error: Exception) -> None:
        self._errors = iter([None, error])
        self.lost: str | None = "the tab is gone"

    async def prepare(self) -> None:
        """See `screamlab.load.webrtc.session.Session`."""

    async def open(self) -> float:
        """See `screamlab.load.webrtc.session.Session`."""
        if error := next(self._errors, None):
            raise error
        return 1.0

    async def close(self) -> None:
        """See `screamlab.load.webrtc.session.Session`."""

    async def end(self) -> None:
        """See `screamlab.load.webrtc.session.Session`."""


def attended(folder: Path, error: Exception) -> None:
    spool = Spool(folder, writer="w", host="client1")
    context = WorkerContext("w", "client1", time.time(), 0.0, 3.0, spool, folder)
    make: Any = lambda *_: Session(error)  # noqa: E731
    kind: Any = Ear
    try:
        asyncio.run(attend([STREAM], make, kind, context))
    finally:
        spool.close()


def test_a_router_that_refuses_is_asked_again(tmp_path: Path) -> None:
    attended(tmp_path, InfraError("the router refuses"))
    kinds = [line["kind"] for line in read_lines(tmp_path / "events-w.jsonl").records]
    assert kinds.count("webrtc.refused") == 1


def test_a_client_that_is_gone_ends_its_worker(tmp_path: Path) -> None:
    with pytest.raises(ClientGone):
        attended(tmp_path, ClientGone("chromium is gone"))


def test_a_browser_that_is_gone_opens_no_tab() -> None:
    browser = Browser("https://198.19.0.10:8443")
    browser._browser = SimpleNamespace(is_connected=lambda: False)  # type: ignore[assignment]
    with pytest.raises(ClientGone, match="chromium is gone"):
        asyncio.run(browser.tab("198.19.0.32"))
