"""Parsers of Linux /proc text: bytes in, dataclasses out, nothing opened.

Formats: proc(5) and, in the kernel tree, Documentation/filesystems/proc.rst,
Documentation/networking/snmp_counter.rst and net/core/net-procfs.c (softnet_stat).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ROLLUP = re.compile(
    rb"\nPss: +(\d+) kB\n(?:.*\n)*?Private_Clean: +(\d+) kB\nPrivate_Dirty: +(\d+) kB\n"
    rb"(?:.*\n)*?Private_Hugetlb: +(\d+) kB\n"
)


@dataclass(frozen=True, slots=True)
class ProcessStat:
    """What /proc/PID/stat says of a whole process (all its threads).

    `start_ticks` is on the boot-time clock; ticks are those of sysconf(_SC_CLK_TCK).
    """

    state: bytes
    minor_faults: int
    major_faults: int
    cpu_ticks: int
    threads: int
    start_ticks: int
    rss_pages: int


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes held by a process: alone (USS) and with shared pages split among users (PSS)."""

    uss_bytes: int
    pss_bytes: int


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Clock ticks of all processors together since boot."""

    total: int
    idle: int
    iowait: int
    steal: int


@dataclass(frozen=True, slots=True)
class UdpSocket:
    """One line of /proc/net/udp: bytes waiting to be read and datagrams dropped so far."""

    port: int
    rx_queue_bytes: int
    drops: int


def parse_stat(text: bytes) -> ProcessStat:
    """Parse /proc/PID/stat; the command in brackets may itself hold brackets and blanks."""
    fields = text[text.rindex(b")") + 2 :].split()
    return ProcessStat(
        state=fields[0],
        minor_faults=int(fields[7]),
        major_faults=int(fields[9]),
        cpu_ticks=int(fields[11]) + int(fields[12]),
        threads=int(fields[17]),
        start_ticks=int(fields[19]),
        rss_pages=int(fields[21]),
    )


def parse_switches(text: bytes) -> tuple[int, int]:
    """Voluntary and involuntary context switches of one thread, from its `status`."""
    mark = text.index(b"\nvoluntary_ctxt_switches:")
    fields = text[mark:].split()
    return int(fields[1]), int(fields[3])


def parse_rollup(text: bytes) -> Memory:
    """Parse /proc/PID/smaps_rollup; USS is what only this process has mapped."""
    match = _ROLLUP.search(text)
    if match is None:
        raise ValueError("not an smaps_rollup")
    pss, clean, dirty, huge = (int(kib) * 1024 for kib in match.groups())
    return Memory(uss_bytes=clean + dirty + huge, pss_bytes=pss)


def parse_cpu(text: bytes) -> CpuTimes:
    """Parse the first line of /proc/stat; guest time is already inside user time."""
    user, nice, system, idle, iowait, irq, softirq, steal = map(int, text.split(None, 9)[1:9])
    total = user + nice + system + idle + iowait + irq + softirq + steal
    return CpuTimes(total=total, idle=idle, iowait=iowait, steal=steal)


def parse_meminfo(text: bytes) -> tuple[int, int]:
    """Total and available bytes of memory, from /proc/meminfo."""
    sizes = _kib_table(text)
    return sizes[b"MemTotal"], sizes[b"MemAvailable"]


def parse_snmp(text: bytes, protocol: str) -> dict[str, int]:
    """The counters of one protocol in /proc/net/snmp, by the kernel's names."""
    prefix = protocol.encode() + b": "
    names, values = (line.split()[1:] for line in text.splitlines() if line.startswith(prefix))
    return {name.decode(): int(value) for name, value in zip(names, values, strict=True)}


def parse_devices(text: bytes) -> dict[str, dict[str, float]]:
    """Counters of every network device in /proc/net/dev."""
    devices: dict[str, dict[str, float]] = {}
    for line in text.splitlines()[2:]:
        name, _, numbers = line.partition(b":")
        n = [int(number) for number in numbers.split()]
        devices[name.strip().decode()] = {
            "rx_bytes": n[0],
            "rx_packets": n[1],
            "rx_errors": n[2],
            "rx_dropped": n[3],
            "tx_bytes": n[8],
            "tx_packets": n[9],
            "tx_errors": n[10],
            "tx_dropped": n[11],
        }
    return devices


def parse_softnet(text: bytes) -> tuple[int, int, int]:
    """Packets processed, dropped, and budget squeezes, over all processors."""
    rows = [[int(word, 16) for word in line.split()[:3]] for line in text.splitlines()]
    processed, dropped, squeezed = (sum(column) for column in zip(*rows, strict=True))
    return processed, dropped, squeezed


def parse_udp_sockets(text: bytes) -> list[UdpSocket]:
    """Every socket in /proc/net/udp or /proc/net/udp6."""
    sockets = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        sockets.append(
            UdpSocket(
                port=int(fields[1].rpartition(b":")[2], 16),
                rx_queue_bytes=int(fields[4].partition(b":")[2], 16),
                drops=int(fields[-1]),
            )
        )
    return sockets


def _kib_table(text: bytes) -> dict[bytes, int]:
    table = {}
    for line in text.splitlines():
        name, _, value = line.partition(b":")
        table[name] = int(value.split()[0]) * 1024
    return table
