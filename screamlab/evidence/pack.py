"""Packing a host's spool for the way to the controller, while the agent may still be writing.

The archive is a gzip'd tar of the spool as it stands; a file that grows meanwhile is cut at the
length it had, which at worst tears its last line. Beside the archive stands `<archive>.json`,
its contents' names, sizes and times, by which a second call knows that nothing is new.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import json
import os
import shutil
import stat
import tarfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from screamlab.errors import InfraError
from screamlab.evidence.spool import complete_pieces

_LEVEL = 4
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Packed:
    """An archive: its path, size and SHA-256, how many files of how many bytes it holds."""

    archive: str
    archive_bytes: int
    sha256: str
    files: int
    content_bytes: int
    missing: list[str]


@dataclass(frozen=True)
class _Source:
    name: str
    path: Path
    size: int
    mtime_ns: int


def is_packed(spool: Path, extra: Iterable[Path], archive: Path) -> Packed | None:
    """The archive as it is when it holds exactly what is there now, else None."""
    try:
        note = json.loads(_note_path(archive).read_text())
        packed = Packed(**note["packed"])
        current = archive.stat().st_size == packed.archive_bytes
    except (OSError, ValueError, KeyError, TypeError):
        return None
    sources, _ = _sources(spool, extra)
    return packed if current and note["contents"] == _contents(sources) else None


def pack(spool: Path, extra: Iterable[Path], archive: Path, *, owner: int | None = None) -> Packed:
    """Pack the spool's files (hidden ones aside) and, under `files/`, the `extra` ones.

    `owner` is the user id the archive is given to; it is readable by that user alone. Extra
    paths that do not exist are told as `missing`. `InfraError` when the spool is not there or
    the disk is full; what was there before is left alone.
    """
    if not spool.is_dir():
        raise InfraError(f"{spool}: no such spool")
    sources, missing = _sources(spool, extra)
    archive.parent.mkdir(parents=True, exist_ok=True)
    draft = archive.with_name(f".{archive.name}.part")
    try:
        _write(draft, sources)
        packed = Packed(
            archive=str(archive),
            archive_bytes=draft.stat().st_size,
            sha256=sha256_of(draft),
            files=len(sources),
            content_bytes=sum(source.size for source in sources),
            missing=missing,
        )
        note = {"contents": _contents(sources), "packed": asdict(packed)}
        _note_path(archive).write_text(json.dumps(note))
        if owner is not None:
            os.chown(draft, owner, -1)
        draft.replace(archive)
    except OSError as error:
        draft.unlink(missing_ok=True)
        if error.errno in _NO_ROOM:
            size_mib = sum(source.size for source in sources) / 2**20
            raise InfraError(
                f"{archive.parent}: disk full while packing {size_mib:.1f} MiB of {spool}"
            ) from error
        raise InfraError(f"{spool}: cannot pack: {error}") from error
    return packed


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_packed(
    spool: Path, extra: Iterable[Path], archive: Path, sha256: str, *, dry: bool = False
) -> None:
    """Remove a spool whose archive has arrived elsewhere, and the archive; extra files stay.

    `InfraError`, with nothing removed, unless the archive here has that checksum and holds all
    that the spool now holds; with `dry` nothing is removed at all.
    """
    packed = is_packed(spool, extra, archive)
    if packed is None:
        raise InfraError(f"{spool}: holds more than {archive} does, collect again before a purge")
    if packed.sha256 != sha256 or sha256_of(archive) != sha256:
        raise InfraError(f"{archive}: is not the archive that was collected")
    if dry:
        return
    shutil.rmtree(spool)
    archive.unlink()
    _note_path(archive).unlink()


def trim(spool: Path, archive: Path, sha256: str, *, dry: bool = False) -> list[str]:
    """Remove from a spool what is complete and has arrived elsewhere; the names of these files.

    What the archive with that checksum does not hold as it is here now stays; with `dry` all does.
    """
    try:
        note = json.loads(_note_path(archive).read_text())
    except (OSError, ValueError):
        return []
    if note["packed"]["sha256"] != sha256:
        return []
    pieces = [_source(path, path.relative_to(spool)) for path in complete_pieces(spool)]
    arrived = [s for s in pieces if s is not None and _contents([s])[0] in note["contents"]]
    if not dry:
        for piece in arrived:
            piece.path.unlink()
    return [piece.name for piece in arrived]


def _write(draft: Path, sources: list[_Source]) -> None:
    with (
        open(draft, "wb", opener=_private) as raw,
        gzip.GzipFile(fileobj=raw, filename="", mode="wb", compresslevel=_LEVEL, mtime=0) as packer,
        tarfile.open(fileobj=packer, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for source in sources:
            member = tarfile.TarInfo(source.name)
            member.size = source.size
            member.mtime = source.mtime_ns / 1e9
            # A rotated log may have gone since it was listed.
            with contextlib.suppress(FileNotFoundError), source.path.open("rb") as file:
                tar.addfile(member, _Padded(file, source.size))  # type: ignore[arg-type]


class _Padded:
    """Exactly `size` bytes of a file, with zeros for what was cut off it meanwhile."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._left = size

    def read(self, count: int) -> bytes:
        count = min(count, self._left)
        self._left -= count
        return self._file.read(count).ljust(count, b"\0")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sources(spool: Path, extra: Iterable[Path]) -> tuple[list[_Source], list[str]]:
    own = [path for path in _walk(spool) if not path.name.startswith(".")]
    found = [_source(path, path.relative_to(spool)) for path in own]
    missing = []
    for top in extra:
        if not top.exists():
            missing.append(str(top))
        for path in [top] if top.is_file() else _walk(top):
            found.append(_source(path, Path("files", *path.parts[1:])))
    return sorted((s for s in found if s is not None), key=lambda s: s.name), missing


def _walk(top: Path) -> list[Path]:
    return [Path(folder, name) for folder, _, names in os.walk(top) for name in names]


def _source(path: Path, name: Path) -> _Source | None:
    """None for what is no plain file (a socket, a link) and for what has just gone."""
    try:
        found = path.lstat()
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return _Source(name.as_posix(), path, found.st_size, found.st_mtime_ns)


def _contents(sources: list[_Source]) -> list[list[object]]:
    return [[source.name, source.size, source.mtime_ns] for source in sources]


def _note_path(archive: Path) -> Path:
    return archive.with_name(archive.name + ".json")
