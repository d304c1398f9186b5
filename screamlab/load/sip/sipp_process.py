"""One sipp process and what it says while it runs."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from screamlab.load.sip.model import MEDIA_TAIL_S, SipDevice
from screamlab.load.sip.sipp_output import Entries, Statistics, longest_ms

EXECUTABLE = "sipp"
_HERE = Path(__file__).parent
_OFFERS = {"l16": ("127", "L16/48000/2", "6"), "opus": ("111", "opus/48000/2", "20")}
_LEAVE_S = 0.5
_EXPIRES_S = 60
_FOREVER = "1000000000"
_END_S = 2.0


@dataclass(frozen=True)
class Job:
    """Devices for one process: any number that are only present, or one that calls."""

    name: str
    devices: tuple[SipDevice, ...]
    rtp_port: int = 0

    @property
    def media_codec(self) -> str | None:
        """The codec of the one that calls."""
        media = self.devices[0].media
        return media.codec if media else None


class Sipp:
    """A running sipp; its pipes give log, errors and statistics, in this order.

    What it needs to know of its devices lies in a folder of its own, outside the run's: it holds
    their passwords.
    """

    def __init__(self, job: Job, zero: float, directory: Path) -> None:
        self.job = job
        self.entries = Entries()
        self.statistics = Statistics()
        self._secrets = tempfile.TemporaryDirectory(prefix="screamlab-sipp-")
        injection = Path(self._secrets.name) / "devices.csv"
        injection.write_text(injection_text(job, zero))
        scenario = _scenario(job, Path(self._secrets.name))
        pipes = [os.pipe2(os.O_CLOEXEC) for _ in range(3)]
        self.pipes = tuple(ours for ours, _ in pipes)
        theirs = [theirs for _, theirs in pipes]
        self._said = directory / f"sipp-{job.name}.log"
        self._torn = {"log": "", "statistics": ""}
        command = arguments(job, scenario, injection, [f"/dev/fd/{end}" for end in theirs])
        with self._said.open("ab") as output:
            self.process = subprocess.Popen(
                [EXECUTABLE, *command],
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=output,
                pass_fds=theirs,
            )
        for end in theirs:
            os.close(end)
        for end in self.pipes:
            os.set_blocking(end, False)
        self._times = directory / f"{scenario.stem}_{self.process.pid}_rtt.csv"
        self._times_read = 0

    def lines(self, stream: str, text: str) -> list[str]:
        """The whole lines of a stream that end in `text`."""
        *whole, self._torn[stream] = (self._torn[stream] + text).split("\n")
        return whole

    def forget_secrets(self) -> None:
        """Take its folder away; it has read what is in it once it gives statistics."""
        self._secrets.cleanup()

    def note(self, entry: str) -> None:
        """Keep an error entry in the log."""
        with self._said.open("a") as file:
            file.write(entry.strip() + "\n")

    def longest_answers(self) -> dict[str, float]:
        """Response times since the last call, see `longest_ms`."""
        try:
            with self._times.open("rb") as file:
                file.seek(self._times_read)
                text = file.read()
        except FileNotFoundError:
            return {}
        whole = text[: text.rfind(b"\n") + 1]
        self._times_read += len(whole)
        return longest_ms(whole.decode().splitlines())

    def last_words(self) -> str:
        """Why it ended, on one line."""
        lines = self._said.read_text(errors="replace").strip().splitlines()
        code = self.process.poll()
        ended = f"by signal {-code}" if code is not None and code < 0 else f"with code {code}"
        said = [
            line for line in lines if "There were more errors" not in line and "Done." not in line
        ]
        return f"{EXECUTABLE} ended {ended}" + (f": {said[-1][-300:]}" if said else "")

    def end(self) -> None:
        """End it at once."""
        for ask in (self.process.terminate, self.process.kill):
            if self.process.poll() is None:
                ask()
                try:
                    self.process.wait(_END_S)
                except subprocess.TimeoutExpired:
                    continue

    def close(self) -> None:
        """Let go of its pipes, and take its secrets away."""
        for pipe in self.pipes:
            os.close(pipe)
        self.forget_secrets()


def injection_text(job: Job, zero: float) -> str:
    """The injection file; its fields are told at the head of the scenario files."""
    return "\n".join(["SEQUENTIAL", *(_line(device, job, zero) for device in job.devices), ""])


def _line(device: SipDevice, job: Job, zero: float) -> str:
    leave_s = device.to_s - _LEAVE_S
    until_s = min(device.media.to_s + MEDIA_TAIL_S, leave_s) if device.media else leave_s
    fields = [
        device.name,
        device.user,
        f"[authentication username={device.user} password={device.password}]",
        device.address,
        f"{zero + device.from_s:.3f}",
        f"{zero + until_s:.3f}",
        f"{zero + leave_s:.3f}",
        f"{device.refresh_s:g}",
        f"{max(_EXPIRES_S, round(3 * device.refresh_s))}",
        str(job.rtp_port),
    ]
    return ";".join(fields)


def arguments(job: Job, scenario: Path, injection: Path, outputs: Sequence[str]) -> list[str]:
    """sipp's command line; `outputs` are where log, errors and statistics go."""
    first = job.devices[0]
    count = str(len(job.devices))
    log, errors, statistics = outputs
    options: dict[str, str] = {
        "-sf": str(scenario),
        "-oocsf": str(_HERE / "options.xml"),
        "-inf": str(injection),
        "-i": first.address,
        "-m": count,
        "-l": count,
        "-r": "1000",
        "-log_file": log,
        "-error_file": errors,
        "-stf": statistics,
        "-fd": "1",
        "-rtt_freq": "1",
        "-watchdog_interval": "0",
        # A request without an answer is repeated every T2 = 4 s for as long as the device is to be
        # there, so that devices come back when their network does.
        "-max_invite_retrans": "3",
        "-max_retrans": _FOREVER,
        "-max_non_invite_retrans": _FOREVER,
    }
    keys = {"domain": first.domain}
    if job.media_codec is None:
        # A challenge differs every time, so to a sipp that compares whole messages the answer to
        # a repeated request is an unexpected one. In calls that would hide 200 behind 180.
        options |= {"-rtcheck": "loose", "-default_behaviors": "all,-bye"}
    else:
        keys |= dict(zip(("payload", "encoding", "ptime"), _OFFERS[job.media_codec], strict=True))
    flags = ["-bind_local", "-nostdin", "-trace_stat", "-trace_err", "-trace_logs", "-trace_rtt"]
    registrar = f"{first.registrar.address}:{first.registrar.port}"
    return [registrar, *_flat(options), *flags, *_keys(keys)]


def _scenario(job: Job, folder: Path) -> Path:
    """The file sipp plays; the text of a user's own is put into `folder`."""
    own = job.devices[0].scenario_xml
    if own is None:
        return _HERE / ("call.xml" if job.media_codec else "presence.xml")
    file = folder / f"{job.name}.xml"
    file.write_text(own)
    return file


def _flat(options: Mapping[str, str]) -> list[str]:
    return [word for pair in options.items() for word in pair]


def _keys(keys: Mapping[str, str]) -> list[str]:
    return [word for name, value in keys.items() for word in ("-key", name, value)]
