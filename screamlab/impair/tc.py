"""What the kernel must hold for one direction of a device, and the words of tc(8) that say so.

On the device, `prio` with the lab's own handle, whose map sends everything to the first band;
flower filters send the selected packets to the third; there netem, and below it, where a rate is
asked for, tbf, whose limit is the queue. What comes in is redirected, the selected packets alone,
to an ifb device, which has the same netem and tbf.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Literal

from screamlab.impair.table import Table

Direction = Literal["egress", "ingress"]

ROOT, NETEM, TBF = "5ca1:", "5ca2:", "5ca3:"
BAND = f"{ROOT}3"
# The preference of the lab's filters; no other filter of a device has it.
PREFERENCE = 0x5CA1
ALIAS = "screamlab:"


@dataclass(frozen=True)
class Loss:
    """One of tc's loss models and its shares, in the order in which tc takes them."""

    model: Literal["random", "gemodel", "state"]
    shares: tuple[float, ...]


@dataclass(frozen=True)
class Netem:
    """netem's parameters: times in seconds, probabilities as shares, the rate in bytes/s.

    `table` names the delay distribution; the kernel does not tell it, so it is not compared.
    """

    limit: int = 1000
    delay_s: float = 0.0
    jitter_s: float = 0.0
    delay_correlation: float = 0.0
    table: str | None = field(default=None, compare=False)
    loss: Loss | None = None
    duplicate: float = 0.0
    corrupt: float = 0.0
    reorder: float = 0.0
    reorder_correlation: float = 0.0
    gap: int = 0
    rate: float = 0.0
    slot: tuple[float, float, int, int] = (0.0, 0.0, 0, 0)
    seed: int | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Tbf:
    """A queue: rate in bytes/s, burst and limit in bytes."""

    rate: float
    burst: int
    limit: int


@dataclass(frozen=True)
class Network:
    """An IPv4 address or network, as a packet's source or destination."""

    side: Literal["src", "dst"]
    name: str


@dataclass(frozen=True)
class Match:
    """Which IPv4 packets a filter takes; what is None does not matter."""

    network: Network | None = None
    protocol: Literal["udp", "tcp"] | None = None
    source_port: int | None = None
    destination_port: int | None = None

    def words(self) -> list[str]:
        """The keys of a flower filter."""
        words = ["ip_proto", self.protocol] if self.protocol else []
        words += [f"{self.network.side}_ip", self.network.name] if self.network else []
        words += ["src_port", str(self.source_port)] if self.source_port else []
        return words + (["dst_port", str(self.destination_port)] if self.destination_port else [])


@dataclass(frozen=True)
class Half:
    """What one direction of a device must hold."""

    matches: tuple[Match, ...]
    netem: Netem
    tbf: Tbf | None = None
    table: Table | None = field(default=None, compare=False)


def ifb_of(device: str) -> str:
    """The ifb device that takes what comes in on `device`; its alias is `ALIAS` and the device."""
    # IFNAMSIZ leaves 15 characters.
    return f"ifb-{device}" if len(device) <= 11 else f"ifb-{zlib.crc32(device.encode()):08x}"


def netem_words(netem: Netem, before: Netem | None = None) -> list[str]:
    """Netem's part of a tc command.

    What a change does not name, netem keeps as it was before: whatever `before` had is named. Only
    delay, loss, duplication and gap are always as named.
    """
    old = before or Netem()
    words = ["limit", str(netem.limit)]
    if netem.delay_s or netem.jitter_s:
        words += ["delay", _us(netem.delay_s)]
        if netem.jitter_s:
            words += [_us(netem.jitter_s)]
            if netem.delay_correlation or old.delay_correlation:
                words += [_percent(netem.delay_correlation)]
            if netem.table and netem.table != old.table:
                words += ["distribution", netem.table]
    if netem.loss:
        words += ["loss", netem.loss.model, *map(_percent, netem.loss.shares)]
    if netem.duplicate:
        words += ["duplicate", _percent(netem.duplicate)]
    if netem.corrupt or old.corrupt:
        words += ["corrupt", _percent(netem.corrupt)]
    if netem.reorder:
        words += ["reorder", _percent(netem.reorder), _percent(netem.reorder_correlation)]
        words += ["gap", str(netem.gap)]
    if netem.rate or old.rate:
        words += ["rate", f"{netem.rate * 8:.0f}bit"]
    if any(netem.slot) or any(old.slot):
        shortest, longest, packets, size = netem.slot
        words += ["slot", _us(shortest), _us(longest)]
        words += ["packets", str(packets)] if packets else []
        words += ["bytes", str(size)] if size else []
    return words + (["seed", str(netem.seed)] if netem.seed is not None else [])


def tbf_words(tbf: Tbf) -> list[str]:
    """tbf's part of a tc command."""
    return ["rate", f"{tbf.rate * 8:.0f}bit", "burst", f"{tbf.burst}b", "limit", f"{tbf.limit}b"]


def _us(seconds: float) -> str:
    return f"{seconds * 1e6:.3f}".rstrip("0").rstrip(".") + "us"


def _percent(share: float) -> str:
    return f"{share * 100:.7f}".rstrip("0").rstrip(".") + "%"
