"""Hosts that bring a kernel of their own: User-Mode Linux, with the modules the machine's lacks.

The kernel is a program (Debian's user-mode-linux). It sees the host's root through hostfs, which
knows no owners for what it writes, so it is read-only below an overlay; the layer above is a disk
of the host's own, an image that a reboot keeps. The first process is a script that makes the
overlay and the network and then becomes systemd.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from screamlab.errors import InfraError
from screamlab.local_lab import data_plane, disk, network, seen
from screamlab.local_lab.files import File
from screamlab.local_lab.machine import Boot
from screamlab.local_lab.model import Host, HostSpec, Lab
from screamlab.local_lab.network import Bridge

MODULES = (
    "overlay",
    "bridge",
    "sch_netem",
    "sch_prio",
    "sch_tbf",
    "sch_ingress",
    "ifb",
    "act_mirred",
    "cls_u32",
    "cls_flower",
)
# What this kernel does at boot for drives, security modules and terminals that a host has not:
# a second of benchmarks and tables.
_TRIMMED = ("initcall_blacklist=raid6_select_algo", "pty.legacy_count=0", "lsm=")
_MASKED = (
    "dev-mqueue.mount",
    "systemd-sysctl.service",
    "systemd-tmpfiles-setup-dev.service",
    "systemd-tmpfiles-setup.service",
)
_INIT = "/usr/lib/screamlab/uml-init"
_NETWORK = "/etc/screamlab/network"
_MEMORY_MIB = 512
_REBOOT = 133

# An ifb is made by whoever needs it. systemd would load the other two on every boot.
_MODPROBE = """\
options ifb numifbs=0
blacklist autofs4
blacklist ip_tables
"""

_INIT_SCRIPT = f"""\
#!/bin/sh
# The first process: a disk of its own over the machine's files, the network, then systemd.
set -e
PATH=/usr/sbin:/usr/bin:/sbin:/bin
modprobe --all {" ".join(MODULES)}
ip -batch {_NETWORK}
mount -t ext4 -o noatime,noinit_itable /dev/ubda /mnt
mkdir -p /mnt/upper /mnt/work /mnt/root
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root
rm -f /mnt/root/.dockerenv
exec switch_root /mnt/root /lib/systemd/systemd
"""


def boot(spec: HostSpec, root: Path) -> Boot:
    """How such a host is booted from that root; its disk and its memory are files beside it."""
    place = spec.place
    image = place.folder / "disk" / "image"
    make_image(image, spec.lab.disk_mib)
    # Page tables and the like come on top of what the kernel takes for its own memory.
    memory = disk.tmpfs(place.folder / "memory", _MEMORY_MIB + 64)
    # To reboot, the kernel executes its own name with all its files open, the taps among them. It
    # is told a name that ends it.
    again = memory / "reboot"
    again.write_text(f"#!/bin/sh\nexit {_REBOOT}\n")
    again.chmod(0o755)
    command = (
        *("nsenter", f"--net={seen.NETNS / place.namespace}", "--"),
        *("bash", "-c", 'exec -a "$0" linux.uml "$@"', str(again)),
        *arguments(spec.lab, root, image),
        f"uml_dir={memory}",
    )
    return Boot(command, {"TMPDIR": str(memory)}, _REBOOT)


def arguments(lab: Lab, root: Path, image: Path) -> list[str]:
    """The kernel's command line: that root below, that image above, a tap per device."""
    devices = (data_plane.MANAGEMENT_DEVICE, *(end.name for end in lab.ends))
    return [
        f"mem={_MEMORY_MIB}M",
        *("root=/dev/root", "rootfstype=hostfs", f"rootflags={root}", "ro", f"init={_INIT}"),
        f"ubd0={image}",
        *(
            f"vec{number}:transport=tap,ifname={data_plane.tap_name(device)},depth=128,gro=1"
            for number, device in enumerate(devices)
        ),
        *("con=null", "con0=null,fd:1", "quiet", *_TRIMMED),
        f"umid={lab.wan}",
    ]


def files(lab: Lab, host: Host) -> list[File]:
    """What such a host has beyond what every host has."""
    return [
        File("/usr/lib/modules", target="/usr/lib/uml/modules"),
        File("/etc/modprobe.d/screamlab.conf", _MODPROBE),
        *(File(f"/etc/systemd/system/{unit}", target="/dev/null") for unit in _MASKED),
        File(_INIT, _INIT_SCRIPT, 0o755),
        File(_NETWORK, "".join(f"{line}\n" for line in network_lines(lab, host))),
    ]


def network_lines(lab: Lab, host: Host) -> Sequence[str]:
    """The `ip -batch` lines that name the vector devices and join the legs by a bridge."""
    management, bridge = data_plane.MANAGEMENT_DEVICE, data_plane.WAN_BRIDGE
    own = Bridge(None, bridge, data_plane.mac(host.data), (host.data,))
    made = network.plan(network.Network(bridges=(own,)), seen.Observed({None: seen.Seen()}))
    lines = [
        *_named(0, management, data_plane.mac(host.management)),
        f"address add {host.management} dev {management}",
        *(" ".join(command.words) for command in made),
    ]
    for number, end in enumerate(lab.ends, start=1):
        hardware = data_plane.mac(end.data, data_plane.End.MIDDLE)
        lines += _named(number, end.name, hardware, f" master {bridge} addrgenmode none")
    return lines


def _named(number: int, name: str, mac: str, more: str = "") -> list[str]:
    return [
        f"link set vec{number} name {name} address {mac}{more}",
        f"link set {name} up",
    ]


def make_image(path: Path, size_mib: int) -> None:
    """An empty ext4 file system; it takes memory as it is written."""
    with path.open("wb") as image:
        os.truncate(image.fileno(), size_mib << 20)
    options = ["-O", "^has_journal,^resize_inode", "-E", "lazy_itable_init=1,nodiscard", "-m", "0"]
    command = ["mkfs.ext4", "-q", "-F", *options, str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise InfraError(f"{' '.join(command)}: {done.stderr.strip()}")
