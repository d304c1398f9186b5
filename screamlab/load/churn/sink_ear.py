"""Listens at the port of one sink, and knows since when it brings sound, or silence."""

from __future__ import annotations

import asyncio
import socket
import time

import numpy as np

from screamlab.load import wire
from screamlab.load.native_receiver import SO_TIMESTAMPNS, TIMESPEC
from screamlab.scenario.plan import Endpoint

AUDIBLE = 64
"""Of 65536, from lowest to highest sample of a packet: less than the lab's signals 30 dB down.

A packet of samples that are all the same brings no sound, whatever their value is.
"""

SILENT_S = 0.3
"""Without sound for this long a sink is silent; the router's own gaps are shorter."""

_CHANNELS, _RATE_HZ = 2, 48000
_DATAGRAM_BYTES = 2048
_ANCILLARY_BYTES = socket.CMSG_SPACE(TIMESPEC.size)


class SinkEar:
    """An RTP L16 sink's port, read by the running event loop. Times are unix seconds.

    `hole_ms` is the silence within the sound since `sound_since`, `rest_level` the value (of 32768)
    that the last silent packet stood at.
    """

    def __init__(self, sink: Endpoint) -> None:
        self.packets = 0
        self.sound_since = 0.0
        self.last_sound_at = 0.0
        self.hole_ms = 0.0
        self.rest_level = 0
        self._silent_ms = 0.0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            self._socket.bind((sink.address, sink.port))
        except OSError:
            self._socket.close()
            raise
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def sounding(self) -> bool:
        """Whether sound came within the last `SILENT_S`."""
        return time.time() - self.last_sound_at < SILENT_S

    def close(self) -> None:
        """Stop listening."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _read(self) -> None:
        while True:
            try:
                datagram, ancillary, _, _ = self._socket.recvmsg(_DATAGRAM_BYTES, _ANCILLARY_BYTES)
            except BlockingIOError:
                return
            seconds, nanoseconds = TIMESPEC.unpack(ancillary[0][2])
            self.take(datagram, seconds + nanoseconds * 1e-9)

    def take(self, datagram: bytes, arrival: float) -> None:
        """One datagram and when the kernel saw it."""
        try:
            payload = wire.parse_rtp(datagram).payload
        except wire.WireError:
            return
        self.packets += 1
        samples = np.frombuffer(payload, ">i2", len(payload) // 2)
        if not len(samples):
            return
        low, high = int(samples.min()), int(samples.max())
        if high - low <= AUDIBLE:
            self.rest_level = high
            self._silent_ms += len(samples) / _CHANNELS / _RATE_HZ * 1000
            return
        if arrival - self.last_sound_at >= SILENT_S:
            self.sound_since = arrival
            self.hole_ms = self._silent_ms = 0.0
        self.hole_ms += self._silent_ms
        self._silent_ms = 0.0
        self.last_sound_at = arrival
