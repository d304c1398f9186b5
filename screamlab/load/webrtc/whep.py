"""One listener's signalling with the router, as its own web page does it.

WHEP (draft-ietf-wish-whep) as in ScreamRouter's ``/openapi.json``: ``POST /api/whep/{sink}`` with
an SDP offer, the answer's resource in ``Location``, the router's ICE candidates polled from it,
ours sent to it by PATCH one by one (JSON), a POST to it as heartbeat, DELETE to leave. A listener
that sends no heartbeat for 15 s is dropped. The router tells listeners apart by address alone:
``X-Forwarded-For`` gives one to each, where the router trusts it (FORWARDED_ALLOW_IPS).
"""

from __future__ import annotations

import http.client
import json
import ssl
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from screamlab.router.client import (
    RouterAnswerInvalid,
    RouterError,
    RouterRefused,
    RouterTimeout,
    RouterUnreachable,
    refusal_reason,
)

HEARTBEAT_S = 5.0
"""As the router's own page does it."""

CONNECT_S = 15.0
"""A listener without a connection by then has none."""

POLL_S = 0.1
TIMEOUT_S = 10.0
_REFUSED = "Failed to create WebRTC session"


class Answer(NamedTuple):
    """The router's answer to an offer, and the path of the listener it made."""

    sdp: str
    location: str


class Candidate(NamedTuple):
    """An ICE candidate: the value of ``a=candidate``, with that word, and the media it is for."""

    candidate: str
    media: str


@dataclass(frozen=True)
class Whep:
    """Blocking calls for listeners of `sink` (a name in the router) who come from `address`.

    Every call raises a `RouterError` in one sentence; one that takes `timeout_s` is such an error.
    """

    router: str
    sink: str
    address: str
    timeout_s: float = TIMEOUT_S

    @property
    def path(self) -> str:
        """Where offers for the sink go."""
        return f"/api/whep/{quote(self.sink, safe='')}"

    def offer(self, sdp: str) -> Answer:
        """Ask for the sound; the router answers without candidates."""
        try:
            headers, body = self._call("POST", self.path, "application/sdp", sdp.encode())
        except RouterRefused as refused:
            raise RouterRefused(self.refusal(str(refused)), refused.status) from refused
        location = headers.get("Location")
        if location is None:
            raise RouterAnswerInvalid(f"POST {self.path} at {self.router} names no listener")
        return Answer(body.decode(), location)

    def candidates(self, location: str) -> list[Candidate]:
        """The router's candidates since the last call."""
        _headers, body = self._call("GET", f"{location}/candidates")
        try:
            return [
                Candidate(str(one["candidate"]).removeprefix("a="), str(one["sdpMid"]))
                for one in json.loads(body)
            ]
        except (ValueError, TypeError, KeyError) as error:
            raise RouterAnswerInvalid(
                f"GET {location}/candidates at {self.router} is not a list of candidates"
            ) from error

    def trickle(self, location: str, candidate: Candidate) -> None:
        """Tell one of our own candidates."""
        body = json.dumps({"candidate": candidate.candidate, "sdpMid": candidate.media})
        self._call("PATCH", location, "application/json", body.encode())

    def beat(self, location: str) -> None:
        """Say that the listener is still there; refused with 404 once the router forgot it."""
        self._call("POST", location)

    def leave(self, location: str) -> None:
        """Give the listener up; one that is not there any more is no error."""
        self._call("DELETE", location)

    def is_known(self) -> bool:
        """Whether the router lists the sink; its temporary ones it does not list."""
        what = f"GET /sinks at {self.router}"
        _headers, body = self._call("GET", "/sinks")
        try:
            return any(self.sink in (one["name"], one["config_id"]) for one in json.loads(body))
        except (ValueError, TypeError, KeyError) as error:
            raise RouterAnswerInvalid(f"{what} is not a list of sinks") from error

    def refusal(self, said: str) -> str:
        """A refused offer in words that tell why, as far as the router lets one know."""
        try:
            unknown = _REFUSED in said and not self.is_known()
        except RouterError:
            return said
        return f"the router has no sink '{self.sink}'" if unknown else said

    def _call(
        self, method: str, path: str, content: str | None = None, body: bytes = b""
    ) -> tuple[http.client.HTTPMessage, bytes]:
        what = f"{method} {path} at {self.router}"
        headers = {"X-Forwarded-For": self.address, "Connection": "close"}
        if content is not None:
            headers["Content-Type"] = content
        connection = self._connect()
        try:
            connection.request(method, path, body=body or None, headers=headers)
            answer = connection.getresponse()
            said = answer.read()
        except TimeoutError as error:
            raise RouterTimeout(f"{what} did not answer within {self.timeout_s:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            raise RouterUnreachable(f"{what} failed: {error or type(error).__name__}") from error
        finally:
            connection.close()
        if answer.status >= 400:
            reason = refusal_reason(said)
            raise RouterRefused(f"{what} was refused ({answer.status}): {reason}", answer.status)
        return answer.headers, said

    def _connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.router)
        host = parts.hostname or ""
        if parts.scheme == "http":
            return http.client.HTTPConnection(host, parts.port, timeout=self.timeout_s)
        # The router makes its own certificate and the lab tells it nothing secret.
        tls = ssl._create_unverified_context()
        return http.client.HTTPSConnection(host, parts.port, timeout=self.timeout_s, context=tls)
