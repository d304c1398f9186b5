"""What this machine's kernel says while virtual hosts run on it.

Containers get none of the kernel's messages into their journals, so the controller keeps them: its
kernel is theirs. Records of /dev/kmsg are those of Documentation/ABI/testing/dev-kmsg.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from screamlab.observe.host_facts import kernel

# Where they lie in the run's folder: one JSON object {t, level, text} a line.
KERNEL_FILE = "machine-kernel.jsonl"
# The virtualization of a host whose kernel is its machine's, as systemd-detect-virt(1) has it.
CONTAINER = "systemd-nspawn"
_KMSG = Path("/dev/kmsg")
_LONGEST_RECORD = 8192
# Bytes that are not printable are escaped, as in "\x0a".
_ESCAPED = re.compile(r"\\x([0-9a-f]{2})")


def is_ours(facts: Mapping[str, Any]) -> bool:
    """Whether a host with these facts is a container on the kernel that runs this process."""
    return facts.get("virtualization") == CONTAINER and facts.get("kernel") == kernel()


def parse_record(record: bytes) -> tuple[float, int, str] | None:
    """The seconds after boot, the syslog level and the text of one record; None for none."""
    head, _, rest = record.decode("utf-8", "replace").partition(";")
    try:
        priority, _, microseconds = head.split(",")[:3]
        t, level = int(microseconds) / 1e6, int(priority) & 7
    except ValueError:
        return None
    text = rest.partition("\n")[0]
    return t, level, _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)


def read_kernel_log() -> Iterator[dict[str, Any]]:
    """All that the kernel remembers, oldest first; `OSError` where it may not be read.

    Its clock is that of CLOCK_MONOTONIC, to within what NTP has corrected since.
    """
    boot = time.time() - time.monotonic()
    for record in _records():
        if (parsed := parse_record(record)) is not None:
            t, level, text = parsed
            yield {"t": round(boot + t, 6), "level": level, "text": text}


def news(file: Path, since: float, until: float) -> bytes | None:
    """The new content of `file`, when the kernel tells more of that time than stands there.

    None too where it does not remember that far, so that it is not taken for silent.
    """
    try:
        records = list(read_kernel_log())
    except OSError:
        return None
    if not records or records[0]["t"] > since:
        return None
    found = [record for record in records if since <= record["t"] <= until]
    known = len(file.read_bytes().splitlines()) if file.exists() else -1
    lines = (json.dumps(record, separators=(",", ":")) + "\n" for record in found)
    return "".join(lines).encode() if len(found) > known else None


def _records() -> Iterator[bytes]:
    descriptor = os.open(_KMSG, os.O_RDONLY | os.O_NONBLOCK)
    try:
        while True:
            try:
                record = os.read(descriptor, _LONGEST_RECORD)
            except BlockingIOError:
                return
            except BrokenPipeError:
                # A record that was overwritten before it could be read.
                continue
            if not record:
                return
            yield record
    finally:
        os.close(descriptor)
