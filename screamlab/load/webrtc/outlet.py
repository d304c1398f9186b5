"""Where pages bring their sound: a WebSocket server on loopback (RFC 6455), receiving only."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import secrets
from collections.abc import Callable
from typing import Any

import numpy as np

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUATION, _TEXT, _BINARY, _CLOSE = 0, 1, 2, 8
_FINAL = 0x80
_LONGEST = 1 << 20

OnSound = Callable[[bytes], None]
OnMessage = Callable[[dict[str, Any]], None]


class Outlet:
    """Serves one WebSocket per URL; use as an asynchronous context manager."""

    def __init__(self) -> None:
        self._takers: dict[str, tuple[OnSound, OnMessage]] = {}
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Outlet:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    def url(self, on_sound: OnSound, on_message: OnMessage) -> str:
        """A new URL; what is sent there goes to these two, binary and JSON text."""
        assert self._server is not None
        token = secrets.token_urlsafe(12)
        self._takers[f"/{token}"] = (on_sound, on_message)
        port = self._server.sockets[0].getsockname()[1]
        return f"ws://127.0.0.1:{port}/{token}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            on_sound, on_message = await self._handshake(reader, writer)
            while message := await read_message(reader):
                kind, data = message
                if kind == _BINARY:
                    on_sound(data)
                else:
                    on_message(json.loads(data))
        writer.close()

    async def _handshake(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[OnSound, OnMessage]:
        request, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines if ": " in line)
        key = fields.get("Sec-WebSocket-Key")
        taker = self._takers.get(request.split(" ")[1])
        if taker is None or key is None:
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            raise ConnectionRefusedError
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept_key(key) + b"\r\n\r\n"
        )
        return taker


def accept_key(key: str) -> bytes:
    """The server's half of the handshake, RFC 6455 section 4.2.2."""
    return base64.b64encode(hashlib.sha1(key.encode() + _MAGIC).digest())


async def read_message(reader: asyncio.StreamReader) -> tuple[int, bytes] | None:
    """The next text or binary message and its opcode, RFC 6455 section 5.2; None at the close.

    `asyncio.IncompleteReadError` when the peer is gone without one.
    """
    kind, parts = _CONTINUATION, []
    while True:
        first, second = await reader.readexactly(2)
        opcode, length = first & 0x0F, second & 0x7F
        if length >= 126:
            length = int.from_bytes(await reader.readexactly(2 if length == 126 else 8), "big")
        if length > _LONGEST or not second & 0x80:
            return None
        mask = await reader.readexactly(4)
        payload = _unmasked(await reader.readexactly(length), mask)
        if opcode == _CLOSE:
            return None
        if opcode > _BINARY:
            continue
        kind = opcode or kind
        parts.append(payload)
        if first & _FINAL:
            return kind, b"".join(parts)


def _unmasked(payload: bytes, mask: bytes) -> bytes:
    words = -(-len(payload) // 4)
    padded = np.frombuffer(payload.ljust(4 * words, b"\0"), np.uint32)
    plain = padded ^ np.frombuffer(mask, np.uint32)
    return plain.tobytes()[: len(payload)]
