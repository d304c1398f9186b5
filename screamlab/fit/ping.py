"""Reader of what ping of iputils prints, best with `-D` (times) and `-O` (losses as they happen).

A ping goes there and comes back: which way was slow, and on which way it was lost, it cannot say.
Both directions get half of the delay, and the fit gives each of them half of the losses.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from screamlab.errors import BadInput
from screamlab.fit.samples import Floats, Integers, Samples, make

# IPv4 and Ethernet headers; ping counts its own.
HEADER_BYTES = 20 + 14
HALVED = (
    "a ping cannot tell one direction from the other: each has half of the delay and half of the "
    "losses"
)

_REPLY = re.compile(
    r"^(?:\[(?P<at>\d+\.\d+)\] )?(?P<bytes>\d+) bytes from .*"
    r"icmp_seq=(?P<seq>\d+) .*time=(?P<rtt>[\d.]+) ms(?P<again> \(DUP!\))?$"
)
_SUMMARY = re.compile(r"^(?P<sent>\d+) packets transmitted, .* time (?P<ms>\d+)ms$")
# Sequence numbers are 16 bits wide and begin at 1.
_WRAP = 1 << 16


def read_ping(path: Path, text: str) -> list[Samples]:
    """Both directions, alike."""
    replies = [found for line in text.splitlines() if (found := _REPLY.match(line))]
    summary = next(filter(None, map(_SUMMARY.match, reversed(text.splitlines()))), None)
    fresh = [found for found in replies if not found["again"]]
    if not fresh:
        raise BadInput(f"{path}: not one ping was answered: nothing to fit")
    notes = [HALVED]
    sequence = _unwrapped(np.array([int(found["seq"]) for found in fresh]))
    sent = int(summary["sent"]) if summary else int(sequence.max())
    if not summary:
        notes.append("the summary is missing: what was lost after the last answer is not counted")
    rtt_s = np.array([float(found["rtt"]) for found in fresh]) / 1e3
    send_s, said = _send_times(fresh, sequence, sent, rtt_s, summary)
    delay_s = np.full(sent, np.nan)
    arrival_s = np.full(sent, np.nan)
    delay_s[sequence - 1] = rtt_s / 2
    # Lines come as the answers did, and their times are too coarse to tell two of them apart.
    arrival_s[sequence - 1] = np.arange(len(sequence))
    size = int(fresh[0]["bytes"]) + HEADER_BYTES
    again = len(replies) - len(fresh)
    return [
        make(
            path.name,
            direction,
            send_s,
            delay_s,
            arrival_s=arrival_s,
            bytes_on_link=size,
            duplicates=again,
            notes=(*notes, *said),
        )  # fmt: skip
        for direction in ("from_host", "to_host")
    ]


def _unwrapped(sequence: Integers) -> Integers:
    """Sequence numbers that go on rising past 65535; answers may be out of order."""
    steps = np.diff(sequence)
    turns = np.cumsum(np.concatenate([[0], (steps < -_WRAP / 2) * 1 - (steps > _WRAP / 2) * 1]))
    return sequence + turns * _WRAP


def _send_times(
    replies: list[re.Match[str]],
    sequence: Integers,
    sent: int,
    rtt_s: Floats,
    summary: re.Match[str] | None,
) -> tuple[Any, tuple[str, ...]]:
    """When each ping was sent (s); those of lost ones lie between their neighbours'."""
    every = np.arange(1, sent + 1)
    if all(found["at"] for found in replies) and len(replies) > 1:
        known = np.array([float(found["at"]) for found in replies]) - rtt_s
        order = np.argsort(sequence)
        spacing = np.median(np.diff(known[order]) / np.maximum(1, np.diff(sequence[order])))
        times = np.interp(every, sequence[order], known[order])
        after = every > sequence.max()
        times[after] = times[~after][-1] + spacing * np.arange(1, after.sum() + 1)
        before = every < sequence.min()
        times[before] -= spacing * (sequence.min() - every[before])
        return times - times[0], ()
    spacing_s = int(summary["ms"]) / 1e3 / max(1, sent - 1) if summary else 1.0
    how = "as its summary has it" if summary else "taken as it is by default"
    return (every - 1) * spacing_s, (f"without ping -D: one ping every {spacing_s:g} s, {how}",)


def looks_like_ping(text: str) -> bool:
    """Whether a text begins as ping's output does."""
    return text.startswith("PING ")
