"""The process that keeps one host: its mounts, its cables, what it boots, and its reboots.

Started once per host in a mount namespace of its own (`hosts.start`). It holds the host's lock
for as long as it lives, so that nobody has to trust a process id. SIGTERM switches the host off.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from screamlab.errors import ScreamlabError
from screamlab.local_lab import cgroup, container, disk, files, network, seen, uml
from screamlab.local_lab.data_plane import plugs
from screamlab.local_lab.machine import Boot
from screamlab.local_lab.model import HostSpec, Kind

_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_BOOT: dict[Kind, Callable[[HostSpec, Path], Boot]] = {
    "container": container.boot,
    "uml": uml.boot,
}


class Supervisor:
    """One host from its first boot to its last."""

    def __init__(self, spec: HostSpec) -> None:
        self.spec = spec
        self.place = spec.place
        self.stopping = False
        base = cgroup.current()
        self.group = base.child("host")
        watch = base.child("watch")
        watch.create()
        # A group that has children must have no processes of its own (cgroups(7)).
        watch.join()
        self._make_group()

    def stop(self, _signal: int, _frame: FrameType | None) -> None:
        """Switch the host off: there is nothing on it that is worth an orderly shutdown."""
        self.stopping = True
        self.group.kill()

    def run(self) -> int:
        """Boot the host, again after each reboot; return the last exit code of what it boots."""
        lab = self.spec.lab
        emptied = (*files.EMPTIED, *lab.hidden)
        root = disk.mount(self.place.folder, lab.disk_mib, emptied, self._files())
        boot = _BOOT[self.spec.host.kind](self.spec, root)
        code = boot.reboot
        while code == boot.reboot and not self.stopping:
            self._plug_in()
            code = self._boot(boot)
            self.group.kill()
            self.group.remove()
            self._make_group()
        return code

    def _make_group(self) -> None:
        self.group.create()
        self.group.allow_realtime(self.spec.host.realtime)

    def _files(self) -> list[files.File]:
        spec = self.spec
        identity = files.Identity(
            host=spec.host,
            machine_id=spec.machine_id,
            user=spec.lab.user,
            public_key=spec.user_public_key,
            host_key=self.place.host_key.read_text(),
        )
        own = uml.files(spec.lab, spec.host) if spec.host.kind == "uml" else []
        return files.host_files(identity, spec.lab, disk.accounts()) + own

    def _plug_in(self) -> None:
        """Give the host new interfaces, so that a reboot heals what was done to the old ones."""
        lab, host = self.spec.lab, self.spec.host
        namespaces = (lab.wan, self.place.namespace)
        wanted = plugs(lab, host, seen.observe(namespaces))
        network.apply(network.unplug(wanted, seen.observe(namespaces)))
        network.apply(network.plan(wanted, seen.observe(namespaces)))

    def _boot(self, boot: Boot) -> int:
        process = subprocess.Popen(
            boot.command,
            stdin=subprocess.DEVNULL,
            env={"PATH": _PATH, **boot.environment},
            preexec_fn=self.group.join,
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
