"""SIP dialogs out of captured messages: who said what to whom, how often again, and what failed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

FIELDS = ("frame.time_epoch", "ip.src", "udp.srcport", "ip.dst", "udp.dstport", "sip.Call-ID",
          "sip.CSeq.method", "sip.CSeq.seq", "sip.Method", "sip.Status-Code",
          "sip.resend")  # fmt: skip
# Answers by which a registrar asks for credentials; what counts is the answer to the next attempt.
_CHALLENGES = {401, 407}


@dataclass(frozen=True)
class Message:
    """One message at unix second `t`; `again` when it is a retransmission, by tshark's judgement.

    `request` is the method and number of the request that it is or answers (CSeq).
    """

    t: float
    source: str
    destination: str
    request: str
    status: int | None = None
    again: bool = False

    @property
    def text(self) -> str:
        """The message as a ladder shows it."""
        return self.request if self.status is None else f"{self.status} ({self.request})"


@dataclass(frozen=True)
class Dialog:
    """All captured messages with one Call-ID, oldest first; `problem` is empty when all went well.

    A request counts as unanswered only when it was sent again.
    """

    call_id: str
    messages: tuple[Message, ...]
    retransmissions: int
    problem: str

    @property
    def is_call(self) -> bool:
        """Whether it is about a call."""
        return any(message.request.startswith("INVITE") for message in self.messages)


def dialogs(rows: Iterable[Sequence[str]]) -> tuple[Dialog, ...]:
    """The dialogs in rows of `FIELDS`, in the order in which they began."""
    found: dict[str, list[Message]] = {}
    for row in rows:
        t, source, source_port, destination, port, call_id, method, number, _, status, again = row
        if not (call_id and method):
            continue
        message = Message(
            t=float(t),
            source=f"{source}:{source_port}",
            destination=f"{destination}:{port}",
            request=f"{method} {number}",
            status=int(status) if status else None,
            # tshark says 1 or, since 4.2, True.
            again=again in ("1", "True"),
        )
        found.setdefault(call_id, []).append(message)
    return tuple(_dialog(call_id, messages) for call_id, messages in found.items())


def _dialog(call_id: str, messages: list[Message]) -> Dialog:
    ordered = tuple(sorted(messages, key=lambda message: message.t))
    again = sum(message.again for message in ordered)
    return Dialog(call_id, ordered, again, _problem(ordered))


def _problem(messages: Sequence[Message]) -> str:
    answered = {message.request for message in messages if message.status is not None}
    # Nobody answers an ACK.
    answered |= {message.request for message in messages if message.request.startswith("ACK")}
    for message in messages:
        if message.status is None:
            if message.again and message.request not in answered:
                return f"no answer of {message.destination} to {message.request}"
        elif message.status >= 400 and message.status not in _CHALLENGES:
            return f"{message.text} of {message.source}"
    return ""
