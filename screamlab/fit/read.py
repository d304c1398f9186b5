"""Any file or run folder as samples; what it is, its content says."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from screamlab.errors import BadInput
from screamlab.fit import KNOWN
from screamlab.fit.irtt import looks_like_irtt, read_irtt
from screamlab.fit.pcap import looks_like_pcap, read_pcap
from screamlab.fit.ping import looks_like_ping, read_ping
from screamlab.fit.probes import has_probes, read_run
from screamlab.fit.router import RouterFit, looks_like_router, read_router, read_router_run
from screamlab.fit.samples import Samples


def read_samples(path: Path, *, trust_clocks: bool = False) -> list[Samples]:
    """The packets that a file tells of, one item for each direction of each stream.

    `path` is what `irtt client -o` wrote, what ping printed, a capture with RTP, or a run folder
    with probes. `trust_clocks` leaves irtt's one-way delays as the hosts' clocks have them.
    """
    found = read_measurement(path, trust_clocks=trust_clocks)
    if isinstance(found, RouterFit):
        raise BadInput(f"{path}: the statistics of a router tell of no single packet")
    return found


def read_measurement(path: Path, *, trust_clocks: bool = False) -> list[Samples] | RouterFit:
    """`read_samples`, or what a file of the router's own statistics says.

    A run folder without probes is read as the statistics of its router.
    """
    if path.is_dir():
        return read_run(path) if has_probes(path) else read_router_run(path)
    data = _plain(path)
    if looks_like_pcap(data):
        return read_pcap(path)
    text = data.decode("utf-8", "replace").lstrip()
    if looks_like_ping(text):
        return read_ping(path, text)
    if looks_like_router(text):
        return read_router(path, text)
    document = _json(path, text)
    if looks_like_irtt(document):
        return read_irtt(path, document, trust_clocks=trust_clocks)
    raise BadInput(f"{path}: not one of: {KNOWN}")


def _plain(path: Path) -> bytes:
    """The file's content, unzipped when it is gzipped."""
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (OSError, EOFError, gzip.BadGzipFile) as error:
        reason = getattr(error, "strerror", None) or "the file was cut short"
        raise BadInput(f"{path}: {reason}") from error


def _json(path: Path, text: str) -> Any:
    if not text.startswith(("{", "[")):
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise BadInput(f"{path}: the file was cut short or is not JSON: {error}") from error
