"""What is in captured packets, field by field, as tshark(1) reads them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from screamlab.errors import BadInput


def read_fields(path: Path, fields: Sequence[str], only: str) -> list[list[str]]:
    """The `fields` of every packet that passes the display filter `only`, oldest first.

    A field that a packet has not is empty; of one it has twice (a tunnel) it is the innermost. RTP
    is found on any port. `BadInput` when there is no tshark, or when it cannot read the file; a
    capture that was cut short yields what is whole.
    """
    if not shutil.which("tshark"):
        raise BadInput(f"{path}: reading it needs tshark, which is not installed")
    command = ["tshark", "-n", "-r", str(path), "--enable-heuristic", "rtp_udp", "-Y", only]
    command += ["-T", "fields", "-E", "occurrence=l"]
    command += [word for name in fields for word in ("-e", name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace")
    # A capture that was cut short is told on stderr, and what came before it is whole.
    if done.returncode != 0 and not done.stdout:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise BadInput(f"{path}: tshark cannot read it: {reason.removeprefix('tshark: ')}")
    return [line.split("\t") for line in done.stdout.splitlines()]
