"""The process that keeps one host: its mounts, its cables, systemd-nspawn, and its reboots.

Started once per host in a mount namespace of its own (`hosts.start`). It holds the host's lock
for as long as it lives, so that nobody has to trust a process id. SIGTERM switches the host off.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from screamlab.errors import ScreamlabError
from screamlab.local_lab import cgroup, disk, files, network
from screamlab.local_lab.data_plane import networks
from screamlab.local_lab.model import HostSpec

# systemd-nspawn(1), "exit status": the host asked for a reboot.
_REBOOT = 133

# Beyond nspawn's own set: the host's network, perf, BPF and locked memory. Not the machine's
# clock or kernel modules.
_CAPABILITIES = "CAP_NET_ADMIN,CAP_PERFMON,CAP_BPF,CAP_IPC_LOCK,CAP_SYSLOG"


class Supervisor:
    """One host from its first boot to its last."""

    def __init__(self, spec: HostSpec) -> None:
        self.spec = spec
        self.place = spec.place
        self.stopping = False
        base = cgroup.current()
        self.group = base.child("host")
        watch = base.child("watch")
        for group in (watch, self.group):
            group.create()
        # A group that has children must have no processes of its own (cgroups(7)).
        watch.join()

    def stop(self, _signal: int, _frame: FrameType | None) -> None:
        """Switch the host off: there is nothing on it that is worth an orderly shutdown."""
        self.stopping = True
        self.group.kill()

    def run(self) -> int:
        """Boot the host, again after each reboot; return systemd-nspawn's last exit code."""
        disk.own_run_folder()
        lab = self.spec.lab
        emptied = (*files.EMPTIED, *lab.hidden)
        root = disk.mount(self.place.folder, lab.disk_mib, emptied, self._files())
        code = _REBOOT
        while code == _REBOOT and not self.stopping:
            self._plug_in()
            code = self._boot(root)
            self.group.kill()
            self.group.remove()
            self.group.create()
        return code

    def _files(self) -> list[files.File]:
        identity = files.Identity(
            host=self.spec.host,
            machine_id=self.spec.machine_id,
            user=self.spec.lab.user,
            public_key=self.spec.user_public_key,
            host_key=self.place.host_key.read_text(),
        )
        return files.host_files(identity, self.spec.lab.hosts, disk.accounts())

    def _plug_in(self) -> None:
        """Give the host new interfaces, so that a reboot heals what was done to the old ones."""
        lab = self.spec.lab
        wanted = networks(lab, [self.spec.host])
        network.apply(network.unplug(wanted, network.observe(wanted.namespaces)))
        network.apply(network.plan(wanted, network.observe(wanted.namespaces)))

    def _boot(self, root: Path) -> int:
        command = [
            "systemd-nspawn",
            f"--directory={root}",
            f"--machine={self.place.namespace}",
            f"--hostname={self.place.host}",
            f"--network-namespace-path={network.NETNS / self.place.namespace}",
            "--register=no",
            "--keep-unit",
            "--settings=no",
            "--link-journal=no",
            "--resolv-conf=off",
            "--timezone=off",
            "--console=pipe",
            f"--capability={_CAPABILITIES}",
            "--system-call-filter=@known",
            "--boot",
            f"systemd.unit={files.BOOT_TARGET}",
            "systemd.log_color=no",
        ]
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            # The host may set the sysctls of its own network namespace, as a real host may.
            "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
            # /tmp on the host's disk: one limit for all that it writes.
            "SYSTEMD_NSPAWN_TMPFS_TMP": "0",
        }
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, env=environment, preexec_fn=self.group.join
        )
        return process.wait()


def main(arguments: list[str]) -> int:
    """``python -m screamlab.local_lab.supervisor SPEC [CGROUP]``."""
    spec = HostSpec.from_json(Path(arguments[0]).read_text())
    with spec.place.lock.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{spec.place.namespace} runs already", file=sys.stderr)
            return 1
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        try:
            if len(arguments) > 1:
                own = cgroup.named(arguments[1])
                own.create()
                own.join()
            supervisor = Supervisor(spec)
            signal.signal(signal.SIGTERM, supervisor.stop)
            return supervisor.run()
        except ScreamlabError as error:
            print(error, file=sys.stderr)
            return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
