"""A program of somebody else's that carries one stream: what it can play, and its process."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from screamlab.agent.context import WorkerContext
from screamlab.errors import BadInput, InfraError
from screamlab.load.pacing import RATE_HZ
from screamlab.scenario.plan import ReceiverStream, SenderStream

_END_S = 2.0
_LAST_LINES = 3
_LAST_CHARACTERS = 400


@dataclass(frozen=True)
class Client:
    """A program as the lab uses it, one process per stream.

    `name` is what errors call it, `executable` what is run, `log` what its log files begin with,
    `ready` what it says when it is about to take sound, `sends` and `hears` what it can do as
    (protocol, codec).
    """

    name: str
    executable: str
    log: str
    ready: bytes
    sends: frozenset[tuple[str, str]] = frozenset()
    hears: frozenset[tuple[str, str]] = frozenset()

    def check(self, streams: Sequence[SenderStream | ReceiverStream]) -> None:
        """`BadInput` for the first stream it cannot play, `InfraError` when it is not installed."""
        for stream in streams:
            sends = isinstance(stream, SenderStream)
            if (stream.protocol, stream.codec) not in (self.sends if sends else self.hears):
                what = f"{'send' if sends else 'hear'} {stream.codec} over {stream.protocol}"
                raise BadInput(f"stream {stream.name}: {self.name} cannot {what}")
            if (stream.rate_hz, stream.channels) != (RATE_HZ, 2):
                raise BadInput(f"stream {stream.name}: {self.name} plays {RATE_HZ} Hz stereo only")
        require(self.executable)


def require(executable: str) -> None:
    """`InfraError` when a program is not installed."""
    if shutil.which(executable) is None:
        raise InfraError(f"{executable} is not installed on this host")


class Program:
    """One process of a client; what it says goes to ``<log>-<stream>.log`` of the run's folder."""

    def __init__(
        self,
        client: Client,
        stream: str,
        command: Sequence[str],
        context: WorkerContext,
        *,
        stdin: int = subprocess.DEVNULL,
        keep: tuple[int, ...] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._client = client
        self.log: Path = context.directory / f"{client.log}-{stream.replace('/', '-')}.log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                stdin=stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=keep,
                env={**os.environ, **(environment or {})},
            )

    def is_ready(self) -> bool:
        """Whether it is about to take sound, or has ended and never will."""
        return self._client.ready in self.log.read_bytes() or self.process.poll() is not None

    def last_words(self) -> str:
        """What it said last, on one line."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        said = " / ".join(lines[-_LAST_LINES:])[-_LAST_CHARACTERS:]
        return f"{self._client.executable} ended: {said or 'it said nothing'}"

    def end(self) -> None:
        """End it in order, then by force."""
        for ask in (self.process.terminate, self.process.kill):
            if self.process.poll() is None:
                ask()
                try:
                    self.process.wait(_END_S)
                except subprocess.TimeoutExpired:
                    continue
