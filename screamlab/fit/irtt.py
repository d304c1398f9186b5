"""Reader of what `irtt client -o` writes (irtt 0.9, json_format 1), gzipped or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from screamlab.errors import BadInput
from screamlab.fit.clock import common_drift
from screamlab.fit.samples import Floats, Samples, make

# IPv4 and UDP headers and the Ethernet header, which a token bucket counts too.
HEADER_BYTES = 20 + 8 + 14


def read_irtt(path: Path, document: dict[str, Any], *, trust_clocks: bool = False) -> list[Samples]:
    """Both directions: the client's packets (from_host) and the server's answers (to_host).

    Delays are one-way by the hosts' clocks, less their drift. Unless `trust_clocks`, they are
    shifted so that the quickest packet took as long either way.
    """
    trips = document["round_trips"]
    try:
        begin_ns = int(trips[0]["timestamps"]["client"]["send"]["wall"]) if trips else 0
        send_s, served_s, came_back_s = (
            np.array([_wall_s(trip, host, what, begin_ns) for trip in trips])
            for host, what in (("client", "send"), ("server", "send"), ("client", "receive"))
        )
        there_s = np.array([_delay(trip, "send") for trip in trips])
        back_s = np.array([_delay(trip, "receive") for trip in trips])
        fate = [str(trip["lost"]) for trip in trips]
        stats = document["stats"]
        size = round(stats["bytes_sent"] / max(1, stats["packets_sent"])) + HEADER_BYTES
        duplicates = int(stats["duplicates"])
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{path}: not a whole irtt result: {error} is missing or wrong") from error
    if not len(send_s):
        raise BadInput(f"{path}: irtt sent no packet")
    if "false" in fate and not np.isfinite(there_s).any():
        raise BadInput(f"{path}: there are no one-way delays: the server gave no timestamps")
    there_s, back_s, notes = _one_clock(send_s, there_s, back_s, trust_clocks)
    # Only the server tells on which leg a packet was lost; `true` is one of which it told nothing.
    arrived = np.array([lost in ("false", "true_down") for lost in fate])
    if unknown := fate.count("true"):
        notes.append(f"{unknown} losses of unknown direction are charged to from_host")
    if late := sum(lost not in ("false", "true", "true_up", "true_down") for lost in fate):
        raise BadInput(f"{path}: {late} round trips have a loss this reader does not know")
    common: dict[str, Any] = {"bytes_on_link": size, "notes": tuple(notes)}
    # An answer that was lost was sent about when the others were.
    known = np.isfinite(served_s)
    usual_s = float(np.median((served_s - send_s)[known])) if known.any() else 0.0
    served_s = np.where(known, served_s, send_s + usual_s)
    return [
        make(path.name, "from_host", send_s, there_s, lost=~arrived, **common),
        make(
            path.name,
            "to_host",
            served_s[arrived],
            back_s[arrived],
            arrival_s=came_back_s[arrived],
            duplicates=duplicates,
            **common,
        ),
    ]


def _one_clock(
    send_s: Floats, there_s: Floats, back_s: Floats, trust: bool
) -> tuple[Floats, Floats, list[str]]:
    notes: list[str] = []
    if drift := common_drift(send_s, there_s, back_s):
        notes.append(f"clocks drift by {drift * 1e6:.1f} ppm; taken out")
        course = drift * (send_s - send_s[0])
        there_s, back_s = there_s - course, back_s + course
    came = np.isfinite(there_s) & np.isfinite(back_s)
    if trust or not came.any():
        return there_s, back_s, [*notes, "one-way delays are as the hosts' clocks have them"]
    offset = (there_s[came].min() - back_s[came].min()) / 2
    notes.append(f"clocks differ by {offset * 1e3:.3f} ms if the path is as long back as there; "
                 "taken out")  # fmt: skip
    return there_s - offset, back_s + offset, notes


def _wall_s(trip: dict[str, Any], host: str, what: str, begin_ns: int) -> float:
    """Seconds after `begin_ns`, NaN for what did not happen."""
    wall_ns = trip["timestamps"][host][what].get("wall")
    return (int(wall_ns) - begin_ns) / 1e9 if wall_ns is not None else float("nan")


def _delay(trip: dict[str, Any], direction: str) -> float:
    return float(trip["delay"].get(direction, "nan")) / 1e9


def looks_like_irtt(document: Any) -> bool:
    """Whether a JSON document is an irtt result."""
    return isinstance(document, dict) and "round_trips" in document
