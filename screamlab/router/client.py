"""The router's HTTP API: one call at a time, every answer checked, every wait bounded.

The API is ScreamRouter's own (`/openapi.json` of a running router). A refused call answers with
status 500 and `{"error": text}`, or 422 and a `detail` list when the body has the wrong shape.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from screamlab.errors import BadInput, InfraError

Kind = Literal["sources", "sinks", "routes"]
Json = dict[str, Any]


class RouterError(InfraError):
    """A call to the router's API did not do what was asked; names the call."""


class RouterUnreachable(RouterError):
    """Nobody accepted the connection, or it broke before an answer came."""


class RouterTimeout(RouterError):
    """The router accepted the call and did not answer in time."""


class RouterRefused(RouterError):
    """The router answered with an error; `status` is the HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class RouterAnswerInvalid(RouterError):
    """The router answered with something that is not the JSON this call promises."""


class RouterClient:
    """Calls to one router. Not for use by several threads at once."""

    def __init__(self, url: str, *, timeout_s: float = 10.0, verify_tls: bool = False) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadInput(f"router url {url!r} is not http(s)://host[:port]")
        self.url = f"{parts.scheme}://{parts.netloc}"
        self._host, self._port = parts.hostname, parts.port
        self._timeout_s = timeout_s
        self._tls = _tls_context(verify=verify_tls) if parts.scheme == "https" else None
        self._connection: http.client.HTTPConnection | None = None
        self.last_latency_ms = 0.0

    def __enter__(self) -> RouterClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop the connection; the next call opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def items(self, kind: Kind) -> list[Json]:
        """The configured sources, sinks or routes, without the router's temporary ones."""
        answer = self.call("GET", f"/{kind}")
        if not isinstance(answer, list) or not all(isinstance(item, dict) for item in answer):
            raise RouterAnswerInvalid(f"GET /{kind} at {self.url} is not a list of objects")
        return answer

    def add(self, kind: Kind, item: Mapping[str, Any]) -> None:
        """Add one source, sink or route."""
        self._change("POST", f"/{kind}", item)

    def update(self, kind: Kind, name: str, item: Mapping[str, Any]) -> None:
        """Set the given fields of the source, sink or route called `name`."""
        self._change("PUT", f"/{kind}/{quote(name, safe='')}", item)

    def remove(self, kind: Kind, name: str) -> None:
        """Remove the source, sink or route called `name`."""
        self._change("DELETE", f"/{kind}/{quote(name, safe='')}", None)

    def stats(self) -> Json:
        """The engine's counters; an answer without its four groups is an error."""
        answer = self.call("GET", "/api/stats")
        groups = {"global_stats", "stream_stats", "source_stats", "sink_stats"}
        if not isinstance(answer, dict) or not groups <= answer.keys():
            raise RouterAnswerInvalid(f"GET /api/stats at {self.url} is empty or incomplete")
        return answer

    def call(self, method: str, path: str, body: object = None) -> Any:
        """One call and its JSON answer; sets `last_latency_ms`. Raises a `RouterError`."""
        what = f"{method} {path} at {self.url}"
        started = time.monotonic()
        status, raw = self._exchange(what, method, path, body)
        self.last_latency_ms = (time.monotonic() - started) * 1000
        if status >= 400:
            raise RouterRefused(f"{what} was refused ({status}): {refusal_reason(raw)}", status)
        try:
            return json.loads(raw)
        except ValueError as error:
            raise RouterAnswerInvalid(f"{what} did not answer with JSON") from error

    def _change(self, method: str, path: str, body: object) -> None:
        answer = self.call(method, path, body)
        if answer is not True:
            raise RouterAnswerInvalid(f"{method} {path} at {self.url} answered {answer!r}")

    def _exchange(self, what: str, method: str, path: str, body: object) -> tuple[int, bytes]:
        if method != "GET":
            # A kept connection may just have been closed by the router; a change must not be
            # sent twice, so it gets a connection of its own.
            self.close()
        reused = self._connection is not None
        try:
            return self._send(method, path, body)
        except TimeoutError as error:
            self.close()
            raise RouterTimeout(f"{what} did not answer within {self._timeout_s:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if reused:
                return self._exchange(what, method, path, body)
            raise RouterUnreachable(f"{what} failed: {error or type(error).__name__}") from error

    def _send(self, method: str, path: str, body: object) -> tuple[int, bytes]:
        if self._connection is None:
            self._connection = self._connect()
        headers = {} if body is None else {"Content-Type": "application/json"}
        payload = None if body is None else json.dumps(body)
        self._connection.request(method, path, body=payload, headers=headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def _connect(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        return http.client.HTTPSConnection(
            self._host, self._port, timeout=self._timeout_s, context=self._tls
        )


def _tls_context(*, verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not verify:
        # The router makes its own certificate and the lab asks it nothing secret.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def refusal_reason(raw: bytes) -> str:
    """What the body of an error answer says in one line."""
    try:
        answer = json.loads(raw)
    except ValueError:
        return raw[:200].decode(errors="replace") or "no reason given"
    if not isinstance(answer, dict):
        return str(answer)[:200]
    detail = answer.get("detail")
    if isinstance(detail, list) and detail and isinstance(detail[0], dict):
        where = ".".join(str(part) for part in detail[0].get("loc", ()))
        return f"{where}: {detail[0].get('msg')}"
    return str(answer.get("error") or detail or answer).splitlines()[0][:300]
