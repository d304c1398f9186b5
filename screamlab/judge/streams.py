"""The streams of a run: their ends, as the plans place them, and what each receiver must hear."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from screamlab.judge.windows import Window
from screamlab.scenario.clients import players
from screamlab.scenario.plan import NULL_PREFIX, Plan, ReceiverStream, SenderStream

_PLAYERS = players()
_Model = type[SenderStream] | type[ReceiverStream]


@dataclass(frozen=True)
class Placed:
    """One end of a stream and the host that plays it; `kind` is protocol-codec-client."""

    name: str
    host: str
    kind: str
    stream: SenderStream | ReceiverStream


@dataclass(frozen=True)
class Stream:
    """A sender as one receiver must hear it, and the time in which both are up."""

    receiver: Placed
    sender: Placed
    up: Window

    @property
    def subject(self) -> str:
        return f"stream/{self.receiver.name}/{self.sender.name}"

    @property
    def sink(self) -> str | None:
        """The router's sink it comes from."""
        assert isinstance(self.receiver.stream, ReceiverStream)
        return self.receiver.stream.sink

    @property
    def hosts(self) -> frozenset[str]:
        return frozenset({self.receiver.host, self.sender.host})

    @property
    def null(self) -> bool:
        """Whether it goes straight from sender to receiver, past the router."""
        return self.receiver.name.startswith(NULL_PREFIX)

    @property
    def kind(self) -> str:
        if self.sender.kind == self.receiver.kind:
            return self.sender.kind
        return f"{self.sender.kind} → {self.receiver.kind}"


def placed(plans: Mapping[str, Plan], role: str, model: _Model) -> tuple[Placed, ...]:
    """Every end of a stream in the plans that plays `role`, sender or receiver."""
    found = []
    for host, plan in plans.items():
        for worker in plan.workers:
            client, played = _PLAYERS.get(worker.kind, ("", ""))
            if played != role:
                continue
            called = (device["media"] for device in worker.spec.get("devices", ()))
            for spec in worker.spec.get("streams", filter(None, called)):
                stream = model.model_validate(spec)
                kind = f"{stream.protocol}-{stream.codec}-{client}"
                found.append(Placed(stream.name, host, kind, stream))
    return tuple(found)


def paired(senders: Iterable[Placed], receivers: Iterable[Placed]) -> tuple[Stream, ...]:
    """Every receiver with every sender it must hear."""
    known = {sender.name: sender for sender in senders}
    found = []
    for receiver in receivers:
        assert isinstance(receiver.stream, ReceiverStream)
        for one in receiver.stream.hears:
            if (sender := known.get(one.sender)) is not None:
                found.append(Stream(receiver, sender, _both(receiver.stream, sender.stream)))
    return tuple(found)


def _both(one: SenderStream | ReceiverStream, other: SenderStream | ReceiverStream) -> Window:
    return Window(max(one.from_s, other.from_s), min(one.to_s, other.to_s))
