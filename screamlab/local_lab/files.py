"""The files in which a host's root differs from the machine's. Pure: nothing is written here."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from screamlab.local_lab.model import MIDDLE, Host, Lab

BOOT_TARGET = "screamlab-host.target"

# The machine's own units, keys and network set-up: a host starts without any of them. Generators
# make units of what a machine has (fstab, cryptsetup, init scripts), which a host has not.
EMPTIED = (
    "/etc/systemd/system",
    "/etc/ssh",
    "/etc/netplan",
    "/etc/sudoers.d",
    "/usr/lib/systemd/system-generators",
)

# Units that the distribution starts on every boot and that a host has no use for, because they
# are about the kernel or the disks (the machine's), or would disturb a measurement.
MASKED = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "dev-hugepages.mount",
    "kmod-static-nodes.service",
    "modprobe@.service",
    "proc-sys-fs-binfmt_misc.automount",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-binfmt.service",
    "systemd-firstboot.service",
    "systemd-hwdb-update.service",
    "systemd-journal-catalog-update.service",
    "systemd-journal-flush.service",
    "systemd-machine-id-commit.service",
    "systemd-modules-load.service",
    "systemd-networkd.service",
    "systemd-pcrphase-sysinit.service",
    "systemd-pcrphase.service",
    "systemd-random-seed.service",
    "systemd-remount-fs.service",
    "systemd-resolved.service",
    "systemd-sysusers.service",
    "systemd-timesyncd.service",
    "systemd-tmpfiles-clean.timer",
    "systemd-udevd.service",
    "systemd-update-done.service",
    "systemd-update-utmp.service",
    "tmp.mount",
)

_TARGET = """\
[Unit]
Description=A host of the local lab
Requires=basic.target
After=basic.target
Wants=ssh.service
AllowIsolate=yes
"""

# No PAM: a session needs no logind then. Accounts, environment and limits are the host's own.
_SSHD = """\
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin no
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
X11Forwarding no
PrintMotd no
MaxStartups 100
MaxSessions 100
SetEnv LANG=C.UTF-8
Subsystem sftp internal-sftp
"""

# The configuration above needs no test before each start.
_SSH_SERVICE = """\
[Service]
ExecStartPre=
"""

_JOURNALD = """\
[Journal]
Storage=volatile
RuntimeMaxUse=512M
RateLimitIntervalSec=0
RateLimitBurst=0
"""

_MANAGER = """\
[Manager]
DefaultLimitCORE=infinity
DefaultTimeoutStopSec=20s
RebootWatchdogSec=off
ShowStatus=error
"""

_LOCALHOST = """\
127.0.0.1 localhost
::1 localhost ip6-localhost ip6-loopback
"""


@dataclass(frozen=True)
class File:
    """A file or, with `target`, a symbolic link; `owner` is user and group id."""

    path: str
    content: str = ""
    mode: int = 0o644
    owner: tuple[int, int] = (0, 0)
    target: str | None = None


@dataclass(frozen=True)
class Accounts:
    """The machine's account files, as text (passwd(5), shadow(5), group(5))."""

    passwd: str
    shadow: str
    group: str


@dataclass(frozen=True)
class Identity:
    """What makes a host itself: its name, ids and keys."""

    host: Host
    machine_id: str
    user: str
    public_key: str
    host_key: str


def host_files(identity: Identity, lab: Lab, accounts: Accounts) -> list[File]:
    """Every file that this host gets; the user may do anything through sudo, as on real hosts."""
    uid = free_id(accounts)
    user = identity.user
    return [
        File("/etc/hostname", f"{identity.host.name}\n"),
        File("/etc/hosts", hosts_table(lab)),
        File("/etc/machine-id", f"{identity.machine_id}\n", 0o444),
        File("/etc/fstab"),
        File("/etc/resolv.conf"),
        File("/etc/environment"),
        *account_files(user, uid, accounts),
        File(f"/etc/sudoers.d/{user}", f"{user} ALL=(ALL:ALL) NOPASSWD: ALL\n", 0o440),
        File(f"/home/{user}/.ssh/authorized_keys", identity.public_key, 0o600, (uid, uid)),
        File("/etc/ssh/sshd_config", _SSHD),
        File("/etc/ssh/ssh_host_ed25519_key", identity.host_key, 0o600),
        File("/etc/systemd/system/ssh.service.d/screamlab.conf", _SSH_SERVICE),
        File("/etc/systemd/journald.conf.d/screamlab.conf", _JOURNALD),
        File("/etc/systemd/system.conf.d/screamlab.conf", _MANAGER),
        File(f"/etc/systemd/system/{BOOT_TARGET}", _TARGET),
        File("/etc/systemd/system/default.target", target=BOOT_TARGET),
        *(File(f"/etc/systemd/system/{unit}", target="/dev/null") for unit in MASKED),
    ]


def hosts_table(lab: Lab) -> str:
    """The same /etc/hosts for all: names are data addresses, as they are for real hosts.

    The gateway has its name also where no host of that name carries the data network.
    """
    named = [(ipaddress.IPv4Interface(host.data).ip, host.name) for host in lab.ends]
    lines = [f"{address} {name}\n" for address, name in [(lab.data[1], MIDDLE), *named]]
    return _LOCALHOST + "".join(lines)


def account_files(user: str, uid: int, accounts: Accounts) -> list[File]:
    """The machine's accounts and one more, which has a home, a shell and no password."""
    return [
        File(
            "/etc/passwd", _with(accounts.passwd, f"{user}:x:{uid}:{uid}::/home/{user}:/bin/bash")
        ),
        File("/etc/shadow", _with(accounts.shadow, f"{user}:*:19000:0:99999:7:::"), 0o600),
        File("/etc/group", _with(accounts.group, f"{user}:x:{uid}:")),
    ]


def free_id(accounts: Accounts) -> int:
    """The lowest id from 1900 up that neither a user nor a group of the machine has."""
    lines = (accounts.passwd + accounts.group).splitlines()
    taken = {line.split(":")[2] for line in lines if line.count(":") >= 3}
    return next(number for number in range(1900, 60000) if str(number) not in taken)


def _with(table: str, line: str) -> str:
    name = line.split(":", 1)[0]
    kept = [old for old in table.splitlines() if old.split(":", 1)[0] != name]
    return "\n".join([*kept, line, ""])
