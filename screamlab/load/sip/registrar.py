"""Worker of the agent: what the lab's registrar (Kamailio) counts, once a second.

Series ``sip/registrar``: ``contacts`` (registered now), ``users``, and cumulative counts since its
start, see `FIGURES`. Events ``registrar.error{error}`` when it stops answering, once per outage,
and ``registrar.recovered{lasted_s}``.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterable
from typing import Any

from screamlab.agent.context import WorkerContext
from screamlab.errors import InfraError

SOCKET = "/run/screamlab-sip/rpc.sock"
"""Where the role `sip_registrar` has Kamailio listen for JSON-RPC, as datagrams."""

FIGURES = {
    "usrloc:location_contacts": "contacts",
    "usrloc:registered_users": "users",
    "registrar:accepted_regs": "registers_accepted",
    "registrar:rejected_regs": "registers_rejected",
    "script:auth_challenged": "auth_challenged",
    "script:auth_failed": "auth_failed",
    "script:contacts_dropped": "contacts_dropped",
    "script:calls_answered": "calls_answered",
    "script:calls_refused": "calls_refused",
    "script:calls_ended": "calls_ended",
    "core:rcv_requests": "requests",
    "core:rcv_replies_2xx": "presence_answers",
    "core:bad_msg_hdr": "bad_messages",
    "sl:sent_replies": "replies",
    "shmem:used_size": "shared_memory_bytes",
}
"""Kamailio's names of the figures that are kept, and ours."""

_REQUEST = {"jsonrpc": "2.0", "method": "stats.get_statistics", "params": ["all"], "id": 1}
_TIMEOUT_S = 0.8
_ANSWER_BYTES = 1 << 17


def run(spec: dict[str, Any], context: WorkerContext) -> None:
    """Ask ``spec["socket"]`` every ``interval_s`` until the worker's window ends."""
    path = str(spec.get("socket", SOCKET))
    interval_s = float(spec.get("interval_s", 1.0))
    silent_since: float | None = None
    for _ in context.every(interval_s):
        try:
            context.spool.series("sip/registrar", statistics(path))
            if silent_since is not None:
                lasted_s = round(time.monotonic() - silent_since, 3)
                context.spool.event("registrar.recovered", "sip/registrar", lasted_s=lasted_s)
                silent_since = None
        except InfraError as error:
            if silent_since is None:
                silent_since = time.monotonic()
                context.spool.event("registrar.error", "sip/registrar", error=str(error))


def statistics(path: str = SOCKET) -> dict[str, float]:
    """The registrar's figures now; `InfraError` when it does not answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asker:
        asker.settimeout(_TIMEOUT_S)
        try:
            # An empty name lets the kernel give one, so that the answer can find its way.
            asker.bind("")
            asker.sendto(json.dumps(_REQUEST).encode(), path)
            answer = json.loads(asker.recv(_ANSWER_BYTES))
            return parse_statistics(answer["result"])
        except (OSError, ValueError, KeyError) as error:
            text = getattr(error, "strerror", None) or str(error)
            raise InfraError(f"the registrar at {path} does not answer: {text}") from error


def parse_statistics(lines: Iterable[str]) -> dict[str, float]:
    """Kamailio's lines ``group:name = number`` as our figures."""
    pairs = (line.partition(" = ") for line in lines)
    return {FIGURES[name]: float(value) for name, _, value in pairs if name in FIGURES}
