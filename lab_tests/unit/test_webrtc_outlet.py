"""The WebSocket server that pages bring their sound to: RFC 6455 as browsers speak it."""

from __future__ import annotations

import asyncio
import os
from typing import Any
from urllib.parse import urlsplit

from screamlab.load.webrtc.outlet import Outlet, accept_key, read_message

PATIENCE_S = 10.0


def masked(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    """A frame as a client sends it, RFC 6455 section 5.2."""
    mask = os.urandom(4)
    if len(payload) < 126:
        length = bytes([0x80 | len(payload)])
    elif len(payload) < 1 << 16:
        length = b"\xfe" + len(payload).to_bytes(2, "big")
    else:
        length = b"\xff" + len(payload).to_bytes(8, "big")
    hidden = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return bytes([final << 7 | opcode]) + length + mask + hidden


def read(*frames: bytes) -> list[tuple[int, bytes] | None]:
    async def run() -> list[tuple[int, bytes] | None]:
        reader = asyncio.StreamReader()
        reader.feed_data(b"".join(frames))
        found = []
        while not reader.at_eof() and (message := await read_message(reader)):
            found.append(message)
            if not reader._buffer:  # type: ignore[attr-defined]
                break
        return found

    return asyncio.run(run())


def test_the_key_of_the_rfcs_own_example() -> None:
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_messages_of_every_length_are_unmasked() -> None:
    payloads = [os.urandom(length) for length in (0, 1, 125, 126, 19200, 65535, 65536, 70001)]
    assert read(*(masked(2, payload) for payload in payloads)) == [(2, one) for one in payloads]


def test_a_message_in_pieces_is_one_and_pings_between_them_are_not() -> None:
    frames = masked(1, b"ab", final=False), masked(9, b"ping"), masked(0, b"cd")
    assert read(*frames) == [(1, b"abcd")]


def test_a_close_or_an_unmasked_frame_ends_it() -> None:
    assert read(masked(8, b"\x03\xe8"), masked(2, b"more")) == []
    assert read(b"\x82\x02hi") == []


def test_what_a_page_sends_reaches_the_one_it_was_given_the_url_of() -> None:
    sounds: list[bytes] = []
    messages: list[dict[str, Any]] = []

    async def run() -> tuple[bytes, bytes]:
        async with Outlet() as outlet:
            url = urlsplit(outlet.url(sounds.append, messages.append))
            answers = []
            for path in (url.path, "/nobody"):
                reader, writer = await asyncio.open_connection(url.hostname, url.port)
                writer.write(
                    f"GET {path} HTTP/1.1\r\nHost: {url.netloc}\r\nUpgrade: websocket\r\n"
                    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
                )
                answers.append(await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S))
                writer.write(
                    masked(2, b"\1\2\3\4") + masked(1, b'{"lost": "why"}') + masked(8, b"")
                )
                await asyncio.wait_for(reader.read(), PATIENCE_S)
                writer.close()
            return answers[0], answers[1]

    first, second = asyncio.run(run())
    assert first.startswith(b"HTTP/1.1 101") and b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in first
    assert second.startswith(b"HTTP/1.1 404")
    assert sounds == [b"\1\2\3\4"]
    assert messages == [{"lost": "why"}]
