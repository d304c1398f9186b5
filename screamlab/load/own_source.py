"""A source address for a program that cannot be told one: a user of its own, routed by user.

Linux policy routing, ip-rule(8): what user `uid` sends goes by a table that holds the way to the
stream's far end with the stream's own address as preferred source.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import subprocess
from collections.abc import Iterator

from screamlab.errors import InfraError
from screamlab.scenario.plan import SenderStream

# Users that systemd keeps for dynamic use, so no account of the host's is among them.
_FIRST_UID, _UIDS = 61184, 4336
_MULTICAST = "224.0.0.0/4"


def uid_of(stream: SenderStream) -> int:
    """The user that sends this stream, the same at every start."""
    return _FIRST_UID + int(ipaddress.IPv4Address(stream.local.address)) % _UIDS


@contextlib.contextmanager
def own_source(stream: SenderStream) -> Iterator[None]:
    """While it lasts, what `uid_of` the stream sends to its far end or to groups leaves from its
    own address.

    `InfraError` when there is no way there. A kill leaves one rule behind, with an empty table as
    soon as the address is gone; the next start replaces it.
    """
    uid = str(uid_of(stream))
    user = ("uidrange", f"{uid}-{uid}", "lookup", uid)
    (way,) = json.loads(_ip("-json", "route", "get", stream.remote.address))
    gateway = way.get("gateway")
    leave = ("dev", way["dev"], "src", stream.local.address, "table", uid)
    through = ("via", gateway) if gateway else ()
    with contextlib.suppress(InfraError):
        _ip("rule", "del", *user)
    _ip("route", "replace", stream.remote.address, *through, *leave)
    try:
        _ip("route", "replace", _MULTICAST, *leave)
        _ip("rule", "add", *user)
        yield
    finally:
        for undo in (("rule", "del", *user), ("route", "flush", "table", uid)):
            with contextlib.suppress(InfraError):
                _ip(*undo)


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise InfraError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
