"""What SIP devices of every kind tell of themselves, in one form.

Events of subject ``sip/<device>``: ``sip.registered{after_ms}``, ``sip.answered`` with what the
client tells of the answer (``address``, ``port``, ``payload_type``), ``sip.ended``,
``sip.unregistered``, ``sip.failed{cause}`` and, once per device that is of no more use,
``worker.failed{error}``.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from screamlab.agent.context import WorkerContext
from screamlab.load.sip.model import SipDevice

NO_ANSWER_S = 32.0
"""After so long a request counts as unanswered: timer F of RFC 3261 section 17.1.2.2."""


class Reporter:
    """Writes down what happens to devices, and knows who is still missing."""

    def __init__(self, devices: Iterable[SipDevice], context: WorkerContext) -> None:
        self._devices = {device.name: device for device in devices}
        self._context = context
        self._unregistered_yet = dict(self._devices)
        self._open = dict(self._devices)

    def registered(self, name: str) -> None:
        """The registrar took this device; told once."""
        device = self._unregistered_yet.pop(name, None)
        if device is not None:
            after_s = time.time() - self._context.zero - device.from_s
            self._event("sip.registered", name, after_ms=round(1000 * after_s, 3))

    def answered(self, name: str, **where: str | int) -> None:
        """The router took this device's call; `where` its audio goes, as far as it is known."""
        self._event("sip.answered", name, **where)

    def ended(self, name: str) -> None:
        """The call was hung up in order."""
        self._event("sip.ended", name)

    def unregistered(self, name: str) -> None:
        """The device has left in order; one that never was there has failed."""
        if name in self._unregistered_yet:
            self.failed(name, *self._unanswered(self._devices[name]))
        elif self._open.pop(name, None) is not None:
            self._event("sip.unregistered", name)

    def failed(self, name: str, cause: str, error: str) -> None:
        """The device can do no more, because of `error`."""
        self._event("sip.failed", name, cause=cause)
        if self._open.pop(name, None) is not None:
            self._event("worker.failed", name, error=f"{name}: {error}")

    def late(self, name: str) -> None:
        """The device should have left by itself, and had to be ended."""
        if name in self._unregistered_yet:
            self.failed(name, *self._unanswered(self._devices[name]))
        else:
            text = "it had not left when its time was over"
            self.failed(name, text, text)

    def open(self, names: Iterable[str]) -> list[str]:
        """Those of `names` that have neither left nor failed."""
        return [name for name in names if name in self._open]

    def look_for_missing(self) -> None:
        """Tell of every device whose REGISTER nobody has answered in time; it may still come."""
        now_s = self._context.now_s()
        for name, device in list(self._unregistered_yet.items()):
            if name not in self._open:
                del self._unregistered_yet[name]
            elif now_s > device.from_s + NO_ANSWER_S:
                del self._unregistered_yet[name]
                cause, error = self._unanswered(device)
                self._event("sip.failed", name, cause=cause)
                self._event("worker.failed", name, error=f"{name}: {error}")

    @staticmethod
    def _unanswered(device: SipDevice) -> tuple[str, str]:
        where = f"{device.registrar.address}:{device.registrar.port}"
        return "no answer to REGISTER", f"nobody answers its REGISTER at {where}"

    def _event(self, kind: str, name: str, **fields: Any) -> None:
        self._context.spool.event(kind, f"sip/{name}", **fields)


def refusal(device: SipDevice, cause: str) -> str:
    """One sentence for a device whose credentials were refused."""
    return f"the registrar refuses the credentials of user {device.user} ({cause})"
