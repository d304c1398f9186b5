"""A host's Python packages, installed on the controller and shipped as one tar.

Hosts need neither a package index nor pip: the controller's pip, with its own configuration,
installs the packages for the host's interpreter, and the tar is unpacked as site-packages.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from screamlab.errors import InfraError

# Newest first, as pip prefers them; glibc 2.28 is older than any supported distribution.
_PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")
# Tars that stay in the cache, those asked for last. Each state of a checkout leaves some.
_KEPT = 30


@dataclass(frozen=True)
class Target:
    """The interpreter packages are for: its version (``3.11``) and machine (``x86_64``)."""

    python: str
    machine: str


OWN = Target(".".join(platform.python_version_tuple()[:2]), platform.machine())
"""The controller's own interpreter."""


@dataclass(frozen=True)
class Site:
    """A tar of installed packages in the cache, and whether it had to be made."""

    archive: Path
    digest: str
    created: bool


def python_site(
    requirements: Sequence[str],
    target: Target,
    *,
    cache: Path,
    constraints: Path | None = None,
    checkout: Path | None = None,
    overlay: Path | None = None,
) -> Site:
    """The tar with `requirements`, what they need, and the package of our own `checkout`.

    The files of the tar `overlay` replace those of the same name.

    Raises `InfraError` with pip's own reason when a requirement cannot be had.
    """
    key = site_digest(
        requirements, target, constraints=constraints, checkout=checkout, overlay=overlay
    )
    archive = cache / f"{key}.tar.gz"
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / "lock"), tempfile.TemporaryDirectory(dir=cache) as scratch:
        if archive.exists():
            archive.touch()
            return Site(archive, key, created=False)
        wheels = [str(_build_wheel(checkout, Path(scratch)))] if checkout else []
        folder = Path(scratch) / "site"
        _install([*requirements, *wheels], target, constraints, folder)
        if overlay:
            shutil.unpack_archive(overlay, folder, "gztar")
        unfinished = Path(scratch) / archive.name
        # Level 1: the tar is sent once or twice, over links faster than better compression.
        with tarfile.open(unfinished, "w:gz", compresslevel=1) as tar:
            tar.add(folder, arcname=".")
        unfinished.replace(archive)
        by_use = sorted(cache.glob("*.tar.gz"), key=lambda file: file.stat().st_mtime)
        for stale in by_use[:-_KEPT]:
            stale.unlink()
    return Site(archive, key, created=True)


def site_digest(
    requirements: Sequence[str],
    target: Target,
    *,
    constraints: Path | None = None,
    checkout: Path | None = None,
    overlay: Path | None = None,
) -> str:
    """Name of the content that `python_site` gives these; changes when anything in it may."""
    asked = [sorted(requirements), target.python, target.machine]
    digest = hashlib.sha256(json.dumps(asked).encode())
    for file in filter(None, (constraints, overlay)):
        digest.update(file.read_bytes())
    if checkout:
        for file in [checkout / "pyproject.toml", *sorted((checkout / "screamlab").rglob("*"))]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(str(file.relative_to(checkout)).encode() + b"\0")
                digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Hosts of one kind want the same tar at the same time; the first one makes it."""
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build_wheel(checkout: Path, scratch: Path) -> Path:
    # setuptools builds inside the tree and takes what an earlier build left there; so in a copy.
    source = scratch / "source"
    shutil.copytree(checkout / "screamlab", source / "screamlab")
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(checkout / name, source)
    _pip("wheel", "--no-deps", "--no-build-isolation", f"--wheel-dir={scratch}", str(source))
    return next(scratch.glob("*.whl"))


def _install(
    requirements: Sequence[str], target: Target, constraints: Path | None, folder: Path
) -> None:
    wanted = [
        f"--target={folder}",
        *([f"--constraint={constraints}"] if constraints else []),
        *requirements,
    ]
    platforms = [f"--platform={name}_{target.machine}" for name in _PLATFORMS]
    try:
        _pip(
            "install",
            "--only-binary=:all:",
            f"--python-version={target.python}",
            *platforms,
            *wanted,
        )
    except InfraError:
        if target != OWN:
            raise
        # What has no wheel, as netifaces of old routers, can be built for one like ours.
        shutil.rmtree(folder, ignore_errors=True)
        _pip("install", "--prefer-binary", *wanted)


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        reason = errors[-1].removeprefix("ERROR: ") if errors else done.stderr.strip()[-300:]
        raise InfraError(f"pip {arguments[0]}: {reason}")
