"""One tc process for as long as an impairment lasts: a command costs no fork and under 1 ms."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import time
from collections.abc import Iterable

from screamlab.errors import InfraError
from screamlab.impair.commands import Command, environment

_PATIENCE_S = 5.0


class Batch:
    """A `tc -batch` that is fed as things happen; it answers in order, and goes on after errors."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["tc", "-s", "-j", "-force", "-batch", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=environment(),
        )
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._input = self._process.stdin
        self._output = self._process.stdout
        self._errors = self._process.stderr

    def send(self, commands: Iterable[Command]) -> None:
        """Have tc carry out commands; what goes wrong with them is told by the next `ask`."""
        self._write("".join(" ".join(command.words) + "\n" for command in commands))

    def ask(self, *words: str) -> str:
        """The JSON that tc answers to one command; everything sent before is done by then.

        `InfraError` when anything since the last `ask` failed, or tc is gone.
        """
        self._write(" ".join(words) + "\n")
        answer = b""
        deadline_s = time.monotonic() + _PATIENCE_S
        while not answer.endswith(b"]\n"):
            rest_s = max(0.0, deadline_s - time.monotonic())
            ready, _, _ = select.select([self._output, self._errors], [], [], rest_s)
            if self._errors in ready:
                said = os.read(self._errors.fileno(), 4096).decode(errors="replace")
                raise InfraError(f"tc: {' '.join(said.split()) or 'it ended'}")
            if not ready:
                raise InfraError(f"tc does not answer to: {' '.join(words)}")
            answer += os.read(self._output.fileno(), 65536)
        return answer.decode()

    def close(self) -> None:
        """Let tc end."""
        with contextlib.suppress(OSError):
            self._input.close()
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()
        self._errors.close()

    def _write(self, text: str) -> None:
        try:
            self._input.write(text.encode())
        except OSError as error:
            raise InfraError(f"tc ended: {error.strerror}") from error
