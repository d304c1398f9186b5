"""A host's root file system: an overlay of the machine's own, with a tmpfs for what differs.

The overlay is ours rather than systemd-nspawn's ``--volatile=overlay``: that one is limited to a
tenth of the memory and forgets everything at a reboot. Mounts are made in the supervisor's own
mount namespace and go away with it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from screamlab.errors import InfraError
from screamlab.local_lab.files import Accounts, File

# overlayfs: a directory marked so hides what the lower layer has below it (kernel documentation,
# filesystems/overlayfs, "whiteouts and opaque directories").
_OPAQUE = "trusted.overlay.opaque"


def mount(folder: Path, size_mib: int, emptied: Iterable[str], files: Sequence[File]) -> Path:
    """Mount a fresh root below `folder` and return it; its own layer can take `size_mib`."""
    disk, root = folder / "disk", folder / "root"
    root.mkdir(exist_ok=True)
    tmpfs(disk, size_mib)
    upper, work = disk / "upper", disk / "work"
    upper.mkdir()
    work.mkdir()
    for path in emptied:
        _empty(upper, path)
    for file in files:
        write(upper, file)
    layers = f"lowerdir=/,upperdir={upper},workdir={work}"
    _mount("-t", "overlay", "-o", layers, "overlay", str(root))
    return root


def tmpfs(folder: Path, size_mib: int) -> Path:
    """Mount an empty tmpfs on a folder, which is made if need be, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={size_mib}m,mode=0755", "tmpfs", str(folder))
    return folder


def accounts() -> Accounts:
    """The machine's account files."""
    return Accounts(*(Path("/etc", name).read_text() for name in ("passwd", "shadow", "group")))


def write(upper: Path, file: File) -> None:
    """Write one file; new parent folders belong to its owner and open to nobody else's writing."""
    path = upper / file.path.lstrip("/")
    _make_parents(upper, path.parent, file.owner)
    if file.target is not None:
        path.symlink_to(file.target)
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, file.mode)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(file.content)
    os.chmod(path, file.mode)
    os.chown(path, *file.owner)


def _empty(upper: Path, path: str) -> None:
    lower = Path(path)
    if not lower.is_dir():
        return
    hidden = upper / path.lstrip("/")
    _make_parents(upper, hidden.parent, (0, 0))
    hidden.mkdir(exist_ok=True)
    _like(lower, hidden)
    os.setxattr(hidden, _OPAQUE, b"y")


def _make_parents(upper: Path, folder: Path, owner: tuple[int, int]) -> None:
    """Create missing folders: as the machine has them, or new ones for their owner."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=0o755)
        lower = Path("/") / path.relative_to(upper)
        if lower.is_dir():
            _like(lower, path)
        else:
            os.chown(path, *owner)


def _like(lower: Path, path: Path) -> None:
    status = lower.stat()
    os.chown(path, status.st_uid, status.st_gid)
    os.chmod(path, status.st_mode & 0o7777)


def _mount(*words: str) -> None:
    done = subprocess.run(["mount", *words], capture_output=True, text=True)
    if done.returncode:
        raise InfraError(done.stderr.strip())
