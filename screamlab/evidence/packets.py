"""What the captures of a run hold, as data: read once by tshark, and from then on without it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from screamlab.errors import BadInput
from screamlab.evidence import sip_ladder
from screamlab.evidence.rtp_statistics import Statistics, statistics
from screamlab.evidence.sip_ladder import Dialog, dialogs
from screamlab.evidence.tshark import read_fields

PACKETS_FILE = "packets.json"
"""In the run's folder: what was read of its captures."""

CAPTURES = "incident-*.pcapng"
"""In a host's folder: the captures."""

_FIELDS = (*sip_ladder.FIELDS, "rtp.ssrc", "rtp.seq", "rtp.timestamp")
_CALL_ID, _SIP_END = sip_ladder.FIELDS.index("sip.Call-ID"), len(sip_ladder.FIELDS)
# An ICMP error carries the head of the packet it is about, which is no packet of its own.
_ONLY = "udp and not icmp"
_READERS = 2


@dataclass(frozen=True)
class Flow:
    """Packets from one UDP socket to another, with one SSRC where they are RTP."""

    source: str
    source_port: int
    destination: str
    destination_port: int
    ssrc: int | None
    seen: Statistics


@dataclass(frozen=True)
class Capture:
    """What one capture of one host holds, or in a sentence why it could not be read.

    `size` (bytes) tells whether the file is still the same.
    """

    host: str
    file: str
    size: int
    flows: tuple[Flow, ...] = ()
    dialogs: tuple[Dialog, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class Packets:
    """All captures of a run."""

    captures: tuple[Capture, ...] = ()
    schema_version: int = 1

    @property
    def error(self) -> str:
        """Why a capture could not be read, if one could not."""
        return next((one.error for one in self.captures if one.error), "")

    def to_json(self) -> str:
        """The text of `packets.json`."""
        return _ADAPTER.dump_json(self).decode() + "\n"


_ADAPTER = TypeAdapter(Packets)


def read_packets(run_dir: Path) -> Packets:
    """What the captures in a run's folder hold; from `packets.json` when it is about these files.

    Reads every capture with tshark otherwise, which takes about a second for 30 000 packets.
    """
    files = sorted(run_dir.glob(f"hosts/*/{CAPTURES}"))
    wanted = [(file.parent.name, file.name, file.stat().st_size) for file in files]
    known = _known(run_dir / PACKETS_FILE)
    if known and [(one.host, one.file, one.size) for one in known.captures] == wanted:
        return known
    with ThreadPoolExecutor(_READERS) as pool:
        return Packets(tuple(pool.map(read_capture, files)))


def read_capture(file: Path) -> Capture:
    """What one capture holds."""
    empty = Capture(host=file.parent.name, file=file.name, size=file.stat().st_size)
    try:
        rows = read_fields(file, _FIELDS, _ONLY)
    except BadInput as error:
        return replace(empty, error=str(error))
    said = [row[:_SIP_END] for row in rows if row[_CALL_ID]]
    sent = [row[1:5] + row[_SIP_END:] + row[:1] for row in rows if not row[_CALL_ID]]
    return replace(empty, flows=_flows(sent), dialogs=dialogs(said))


def _known(file: Path) -> Packets | None:
    try:
        known = _ADAPTER.validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return None
    return known if known.schema_version == Packets.schema_version else None


def _flows(packets: Sequence[Sequence[str]]) -> tuple[Flow, ...]:
    """Of packets as source, its port, destination, its port, SSRC, sequence, timestamp, arrival."""
    by_socket: dict[tuple[str, ...], list[Sequence[str]]] = {}
    for packet in packets:
        by_socket.setdefault(tuple(packet[:5]), []).append(packet)
    return tuple(_flow(key, own) for key, own in sorted(by_socket.items()))


def _flow(key: tuple[str, ...], packets: Sequence[Sequence[str]]) -> Flow:
    source, source_port, destination, port, ssrc = key
    arrival = [float(packet[7]) for packet in packets]
    rtp = [[int(packet[at]) for packet in packets] for at in (5, 6)] if ssrc else []
    return Flow(
        source,
        int(source_port),
        destination,
        int(port),
        int(ssrc, 16) if ssrc else None,
        statistics(arrival, *rtp),
    )
