"""The last packets of a host's interface, in files that dumpcap(1) writes over and over."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from screamlab.errors import InfraError

FILES = 64
FILE_S = 5.0
"""A file is begun after so long at the latest: by then what it holds can be read."""

_NAME = ".ring.pcapng"
_GLOB = ".ring_*.pcapng"
_KERNEL_MIB = 8
# The kernel hands packets over in blocks; what is in an unfinished one at the end is lost.
_BLOCK_S = 0.5
_END_S = 10.0
_SLACK_S = 1.0
_COUNTS = re.compile(r"Packets received/dropped on interface .*: (\d+)/(\d+) ")


class Ring:
    """dumpcap at work in `directory`, keeping `ring_mib` at most; `InfraError` without it.

    `filters` are capture filters, each with the bytes that are kept of its packets (0: all). The
    files' names are hidden, so that nobody collects them.
    """

    def __init__(
        self,
        directory: Path,
        device: str,
        filters: Mapping[str, int],
        *,
        ring_mib: float,
        runtime_s: float,
    ) -> None:
        for tool in ("dumpcap", "editcap", "mergecap"):
            if not shutil.which(tool):
                raise InfraError(f"{tool} is not installed on this host (Debian: wireshark-common)")
        self._directory = directory
        self._log = directory / "dumpcap.log"
        self._before = self._log.stat().st_size if self._log.exists() else 0
        command = ["dumpcap", "-q", "-B", str(_KERNEL_MIB), "-a", f"duration:{runtime_s:.0f}"]
        command += ["-b", f"files:{FILES}", "-b", f"duration:{FILE_S:.0f}"]
        command += ["-b", f"filesize:{ring_mib * 1024 / FILES:.0f}", "-w", str(directory / _NAME)]
        for capture_filter, keep_bytes in filters.items():
            command += ["-i", device, "-f", capture_filter, "-p", "-s", str(keep_bytes)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log
            )

    def check(self) -> None:
        """`InfraError` when dumpcap has ended by itself."""
        if self._process.poll() is not None:
            lines = self._said().strip().splitlines() or ["it does not say why"]
            raise InfraError(f"dumpcap ended: {lines[-1]}")

    def stop(self) -> tuple[int, int]:
        """End it; the packets it has seen, and those it has missed."""
        time.sleep(_BLOCK_S)
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        counts = _COUNTS.findall(self._said())
        return sum(int(seen) for seen, _ in counts), sum(int(missed) for _, missed in counts)

    def cut(self, from_t: float, to_t: float, target: Path) -> bool:
        """Write what was captured between two unix times to `target`.

        Only files that dumpcap has done with are read. False when the beginning was written over
        already. `InfraError` when the tools fail.
        """
        files = self._files()
        done = files[:-1] if self._process.poll() is None else files
        wanted, begin_t = [], 0.0
        for file, end_t in done:
            if end_t >= from_t - _SLACK_S and begin_t <= to_t + _SLACK_S:
                wanted.append(str(file))
            begin_t = end_t
        if wanted:
            _cut(wanted, from_t, to_t, target)
        # The first file of a full ring begins somewhere before its end.
        return bool(wanted) and (len(files) < FILES or done[0][1] <= from_t)

    def remove(self) -> None:
        """Remove the files of the ring."""
        for file, _ in self._files():
            file.unlink(missing_ok=True)

    def _files(self) -> list[tuple[Path, float]]:
        """The files and when they were last written to, oldest first."""
        found = []
        for file in self._directory.glob(_GLOB):
            # dumpcap may have removed it meanwhile.
            with contextlib.suppress(FileNotFoundError):
                found.append((file, file.stat().st_mtime))
        return sorted(found, key=lambda one: (one[1], one[0]))

    def _said(self) -> str:
        with self._log.open("rb") as file:
            file.seek(self._before)
            return file.read().decode(errors="replace")


def _cut(files: list[str], from_t: float, to_t: float, target: Path) -> None:
    merge = ["mergecap", "-a", "-w", "-", *files]
    cut = ["editcap", "-A", f"{from_t:.6f}", "-B", f"{to_t:.6f}", "-", str(target)]
    with subprocess.Popen(merge, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as merging:
        done = subprocess.run(cut, stdin=merging.stdout, capture_output=True, check=False)
        assert merging.stdout is not None and merging.stderr is not None
        merging.stdout.close()
        words = (merging.stderr.read() + done.stderr).decode(errors="replace").strip()
    if merging.returncode or done.returncode or not target.exists():
        raise InfraError(f"{target.name}: {words.splitlines()[-1] if words else 'cannot be cut'}")
    os.chmod(target, 0o644)
