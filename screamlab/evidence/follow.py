"""Follow a run's spool on its host: every event, and the few series a progress display needs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from screamlab.evidence.spool import parse_line
from screamlab.evidence.subjects import ROUTER

POLL_S = 0.25
# The subjects of series that are passed on; the rest is collected after the run.
_SHOWN = (ROUTER, "stream/")


def follow(directory: Path) -> Iterator[dict[str, Any]]:
    """Yield records as they are written, from the first; ends once the agent has ended."""
    offsets: dict[Path, int] = {}
    while True:
        ended = (directory / "done").exists()
        for file in sorted(directory.glob("*.jsonl")):
            for record in new_records(file, offsets):
                if "kind" in record or str(record.get("subject")).startswith(_SHOWN):
                    yield record
        if ended:
            return
        time.sleep(POLL_S)


def print_followed(directory: Path) -> None:
    """Print what `follow` yields as JSON lines, until the reader goes away."""
    try:
        for record in follow(directory):
            print(json.dumps(record), flush=True)
    except BrokenPipeError:
        sys.stderr.close()


def new_records(file: Path, offsets: dict[Path, int]) -> Iterator[dict[str, Any]]:
    """The whole lines that a spool file has beyond its offset, which moves on with them.

    None of a file that has just been collected and removed.
    """
    with suppress(FileNotFoundError), file.open("rb") as opened:
        opened.seek(offsets.get(file, 0))
        for line in opened:
            if not line.endswith(b"\n"):
                return
            offsets[file] = offsets.get(file, 0) + len(line)
            if (record := parse_line(line)) is not None:
                yield record
