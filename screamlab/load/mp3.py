"""The router's MP3 streams over HTTPS: where a sink's stream is, and whose the server's key is."""

from __future__ import annotations

import ssl
import subprocess
from urllib.parse import urlsplit

from screamlab.errors import BadInput, InfraError
from screamlab.load.program import require
from screamlab.router.client import RouterClient
from screamlab.router.topology import PREFIX
from screamlab.scenario.plan import ReceiverStream

FRAMES = 1152
"""Of one MPEG-1 layer III frame, ISO 11172-3, 2.4.2.1."""

_PATIENCE_S = 10.0


class Streams:
    """The MP3 streams of the router at the URL `router`, by the lab's names of its sinks.

    Asks for the sinks once, and not again: raises a `RouterError` when there is no answer.
    """

    def __init__(self, router: str) -> None:
        self._router = router.rstrip("/")
        with RouterClient(router) as client:
            self._ips = {str(item["name"]): item["ip"] for item in client.items("sinks")}

    def url(self, stream: ReceiverStream) -> str:
        """Where the stream's sink can be heard, by the address of the sink.

        `BadInput` when the stream names none, `InfraError` when the router has none of that name:
        it would serve the stream of an unknown one, and there would be nothing in it.
        """
        if stream.sink is None:
            raise BadInput(f"stream {stream.name}: a listener by MP3 needs a sink")
        if PREFIX + stream.sink not in self._ips:
            raise InfraError(f"the router at {self._router} has no sink '{stream.sink}'")
        return f"{self._router}/stream/{self._ips[PREFIX + stream.sink]}/"


def known_host(router: str) -> str:
    """A line of GnuTLS' known_hosts: the key that the server at `router` shows now is trusted.

    Format: GnuTLS, lib/verify-tofu.c, ``|g0|host|service|expiration|public key``.
    """
    require("openssl")
    where = urlsplit(router)
    assert where.hostname is not None
    at = (where.hostname, where.port or 443)
    try:
        certificate = ssl.get_server_certificate(at, timeout=_PATIENCE_S)
    except OSError as error:
        raise InfraError(f"the router at {router} shows no certificate: {error}") from error
    return f"|g0|{where.hostname}|https|0|{public_key(certificate)}\n"


def public_key(certificate: str) -> str:
    """The public key of a PEM certificate as base64 without line breaks."""
    pem = subprocess.run(
        ["openssl", "x509", "-noout", "-pubkey"],
        input=certificate,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return "".join(line for line in pem.splitlines() if not line.startswith("-----"))
