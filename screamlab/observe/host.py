"""Figures of a whole host, read from /proc once a sample.

CPU, memory, load and softnet figures are the machine's, also inside a container; UDP counters
and devices are those of the network namespace the sampler runs in.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

from screamlab.observe import procfs

_UDP = {
    "InDatagrams": "udp_in_datagrams",
    "OutDatagrams": "udp_out_datagrams",
    "NoPorts": "udp_no_ports",
    "InErrors": "udp_in_errors",
    "RcvbufErrors": "udp_rcvbuf_errors",
    "SndbufErrors": "udp_sndbuf_errors",
    "InCsumErrors": "udp_in_checksum_errors",
}


class Host:
    """The machine, its memory, its network devices and some of its UDP ports."""

    def __init__(self, devices: Sequence[str] | None, udp_ports: Sequence[int]) -> None:
        self._devices = devices
        self._udp_ports = udp_ports
        self._cpu = procfs.parse_cpu(_read("/proc/stat"))

    def sample(self) -> dict[str, float]:
        """Processor (percent of all processors since the sample before), memory, UDP counters."""
        total, available = procfs.parse_meminfo(_read("/proc/meminfo"))
        udp = procfs.parse_snmp(_read("/proc/net/snmp"), "Udp")
        processed, dropped, squeezed = procfs.parse_softnet(_read("/proc/net/softnet_stat"))
        return {
            **self._processor(),
            "load_1m": os.getloadavg()[0],
            "memory_used_bytes": total - available,
            "memory_available_bytes": available,
            **{name: float(udp[key]) for key, name in _UDP.items() if key in udp},
            "softnet_processed": processed,
            "softnet_dropped": dropped,
            "softnet_squeezed": squeezed,
        }

    def devices(self) -> dict[str, dict[str, float]]:
        """Counters of the wanted devices, of all but loopback when none were named."""
        present = procfs.parse_devices(_read("/proc/net/dev"))
        wanted = present.keys() - {"lo"} if self._devices is None else self._devices
        return {name: present[name] for name in sorted(wanted) if name in present}

    def udp_ports(self) -> dict[int, dict[str, float]]:
        """Bytes waiting and datagrams dropped in the sockets of the wanted ports.

        A queue that only grows is a socket whose reader has gone.
        """
        if not self._udp_ports:
            return {}
        figures: dict[int, dict[str, float]] = {}
        for path in ("/proc/net/udp", "/proc/net/udp6"):
            with contextlib.suppress(FileNotFoundError):
                for socket in procfs.parse_udp_sockets(_read(path)):
                    if socket.port in self._udp_ports:
                        sums = figures.setdefault(
                            socket.port, {"sockets": 0, "rx_queue_bytes": 0, "drops": 0}
                        )
                        sums["sockets"] += 1
                        sums["rx_queue_bytes"] += socket.rx_queue_bytes
                        sums["drops"] += socket.drops
        return figures

    def _processor(self) -> dict[str, float]:
        before, self._cpu = self._cpu, procfs.parse_cpu(_read("/proc/stat"))
        elapsed = max(1, self._cpu.total - before.total)
        iowait = self._cpu.iowait - before.iowait
        idle = self._cpu.idle - before.idle + iowait
        return {
            "cpu_percent": round(100 * (elapsed - idle) / elapsed, 2),
            "cpu_iowait_percent": round(100 * iowait / elapsed, 2),
            "cpu_steal_percent": round(100 * (self._cpu.steal - before.steal) / elapsed, 2),
        }


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()
