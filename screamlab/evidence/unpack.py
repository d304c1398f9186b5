"""Unpacking a host's archive into the run's folder, so that nothing already there gets lost."""

from __future__ import annotations

import shutil
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from screamlab.errors import InfraError
from screamlab.evidence.pack import sha256_of


@dataclass(frozen=True)
class Unpacked:
    """Which files are new or changed, and which were kept because the archive had less of them."""

    changed: list[str]
    kept: list[str]


def unpack(archive: Path, host_dir: Path, *, sha256: str, dry: bool = False) -> Unpacked:
    """Unpack `archive` into `host_dir`; with `dry` only tell what would change.

    Evidence only grows: a file is never replaced by a shorter one (a host that lost its spool
    and began anew), documents (`.json`) aside. Members that point outside the folder are
    refused. `InfraError` when the archive is not the one sent or cannot be read.
    """
    if not archive.is_file():
        raise InfraError(f"{archive}: did not arrive")
    if sha256_of(archive) != sha256:
        raise InfraError(f"{archive}: damaged on the way: its SHA-256 is not {sha256}")
    incoming = host_dir.with_name(f".{host_dir.name}.incoming")
    shutil.rmtree(incoming, ignore_errors=True)
    incoming.mkdir(parents=True)
    try:
        with tarfile.open(archive, "r:gz") as tar:
            tar.extractall(incoming, members=_inside(tar))
        return _merge(incoming, host_dir, dry)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise InfraError(f"{archive}: cannot unpack: {error}") from error
    except OSError as error:
        raise InfraError(f"{host_dir}: cannot unpack: {error.strerror or error}") from error
    finally:
        shutil.rmtree(incoming, ignore_errors=True)


def _inside(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The members, all of them plain files and folders below the root of the archive.

    What ``filter="data"`` checks in newer Pythons (PEP 706); Debian 12's has none.
    """
    for member in tar:
        name = PurePosixPath(member.name)
        if not (member.isfile() or member.isdir()) or name.is_absolute() or ".." in name.parts:
            raise tarfile.TarError(f"{member.name} is not a plain file inside the archive")
        yield member


def _merge(incoming: Path, host_dir: Path, dry: bool) -> Unpacked:
    changed: list[str] = []
    kept: list[str] = []
    for path in sorted(path for path in incoming.rglob("*") if path.is_file()):
        name = path.relative_to(incoming).as_posix()
        target = host_dir / name
        if target.exists():
            old, new = target.stat().st_size, path.stat().st_size
            if old == new and sha256_of(target) == sha256_of(path):
                continue
            if new < old and target.suffix != ".json":
                kept.append(name)
                continue
        changed.append(name)
        if not dry:
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
    return Unpacked(changed, kept)
