"""Hosts that share the machine's kernel: systemd-nspawn on the host's root file system."""

from __future__ import annotations

from pathlib import Path

from screamlab.local_lab import disk, seen
from screamlab.local_lab.machine import Boot
from screamlab.local_lab.model import HostSpec

# systemd-nspawn(1), "exit status": the host asked for a reboot.
_REBOOT = 133

# Beyond nspawn's own set: the host's network, perf, BPF and locked memory. Not the machine's
# clock or kernel modules.
_CAPABILITIES = "CAP_NET_ADMIN,CAP_PERFMON,CAP_BPF,CAP_IPC_LOCK,CAP_SYSLOG"

# Devices of the machine that are the hosts' too, where it has them.
_DEVICES = (Path("/dev/cpu_dma_latency"),)


def boot(spec: HostSpec, root: Path) -> Boot:
    """How such a host is booted from that root."""
    place = spec.place
    # What nspawn notes of itself there stays in the supervisor's mount namespace.
    disk.tmpfs(Path("/run/systemd/nspawn"), 1)
    command = (
        "systemd-nspawn",
        f"--directory={root}",
        f"--machine={place.namespace}",
        f"--hostname={place.host}",
        f"--network-namespace-path={seen.NETNS / place.namespace}",
        "--register=no",
        "--keep-unit",
        "--settings=no",
        "--link-journal=no",
        "--resolv-conf=off",
        "--timezone=off",
        "--console=pipe",
        f"--capability={_CAPABILITIES}",
        *(f"--bind={device}" for device in _DEVICES if device.exists()),
        "--system-call-filter=@known",
        "--boot",
        "systemd.log_color=no",
    )
    environment = {
        # The host may set the sysctls of its own network namespace, as a real host may.
        "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
        # /tmp on the host's disk: one limit for all that it writes.
        "SYSTEMD_NSPAWN_TMPFS_TMP": "0",
    }
    return Boot(command, environment, _REBOOT)
