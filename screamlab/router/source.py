"""The router's source on the controller: a git reference made a commit, and its files one tar."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import tarfile
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from screamlab.errors import BadInput, InfraError

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REACH_S = 60
_FETCH_S = 1800


@dataclass(frozen=True)
class Source:
    """A commit's files on the controller, and what its build needs (PEP 508 specifiers)."""

    archive: Path
    requires: tuple[str, ...]


def public(repository: str) -> str:
    """A repository's address without the credentials that may be in it."""
    parts = urlsplit(repository)
    if "@" not in parts.netloc:
        return repository
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def resolve(repository: str, ref: str) -> str:
    """The commit that a tag, a branch or a full commit hash of a repository names.

    Raises `InfraError` where the repository cannot be reached, `BadInput` where it has no such ref.
    """
    if _COMMIT.fullmatch(ref):
        return ref
    wanted = [f"refs/tags/{ref}^{{}}", f"refs/tags/{ref}", f"refs/heads/{ref}", ref]
    try:
        listed = _git("ls-remote", "--", repository, *wanted, timeout_s=_REACH_S)
    except InfraError as error:
        raise InfraError(
            f"the repository {public(repository)} cannot be reached: {error}"
        ) from None
    found = {name: commit for commit, name in map(str.split, listed.splitlines())}
    for name in wanted:
        if name in found:
            return found[name]
    raise BadInput(
        f"the repository {public(repository)} has no tag, branch or full commit hash {ref!r}"
    )


def fetch(repository: str, commit: str, submodules: Sequence[str], cache: Path) -> Source:
    """The files of a commit as a tar in `cache`, with the submodules at or under these paths.

    Raises `InfraError` with git's own reason where something cannot be fetched.
    """
    name = hashlib.sha256(repr((commit, sorted(submodules))).encode()).hexdigest()[:16]
    archive = cache / f"source-{name}.tar.gz"
    if not archive.exists():
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            tree = Path(scratch) / "tree"
            _check_out(repository, commit, submodules, tree)
            unfinished = Path(scratch) / archive.name
            with tarfile.open(unfinished, "w:gz", compresslevel=1) as tar:
                tar.add(tree, arcname=".", filter=_without_git)
            unfinished.replace(archive)
    return Source(archive, _requires(archive))


def _check_out(repository: str, commit: str, submodules: Sequence[str], tree: Path) -> None:
    inside = ("-C", str(tree))
    _git("init", "--quiet", str(tree))
    # Submodules with relative addresses are found from it.
    _git(*inside, "remote", "add", "origin", "--", repository)
    try:
        _git(*inside, "fetch", "--quiet", "--depth=1", "origin", commit, timeout_s=_FETCH_S)
    except InfraError as error:
        raise InfraError(
            f"commit {commit} cannot be fetched from the repository {public(repository)}: {error}"
        ) from None
    _git(*inside, "checkout", "--quiet", "--detach", "FETCH_HEAD")
    if submodules:
        update = ("submodule", "--quiet", "update", "--init", "--recursive", "--depth=1", "--")
        try:
            _git(*inside, *update, *submodules, timeout_s=_FETCH_S)
        except InfraError as error:
            raise InfraError(
                f"a submodule of the repository {public(repository)} cannot be fetched: {error}"
            ) from None


def _without_git(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if Path(member.name).name == ".git" else member


def _requires(archive: Path) -> tuple[str, ...]:
    """What ``pyproject.toml`` says the build needs (PEP 518), or what its absence means."""
    with tarfile.open(archive) as tar:
        try:
            file = tar.extractfile("./pyproject.toml")
        except KeyError:
            return ("setuptools", "wheel")
        assert file is not None
        try:
            project = tomllib.loads(file.read().decode())
        except ValueError as error:
            raise BadInput(f"pyproject.toml of the source: {error}") from None
    return tuple(project.get("build-system", {}).get("requires", ("setuptools", "wheel")))


def _git(*arguments: str, timeout_s: float = 60) -> str:
    # Nobody is there to be asked for a password.
    environment = {
        **os.environ,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_SSH_COMMAND": os.environ.get("GIT_SSH_COMMAND", "ssh -oBatchMode=yes"),
        "LC_ALL": "C",
    }
    try:
        done = subprocess.run(
            ["git", *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            stdin=subprocess.DEVNULL,
            timeout=timeout_s,
        )
    except FileNotFoundError:
        raise InfraError("git is missing on the controller") from None
    except subprocess.TimeoutExpired:
        raise InfraError(f"no answer for {timeout_s:.0f} s") from None
    if done.returncode:
        raise InfraError(_reason(done.stderr) or f"git ended with status {done.returncode}")
    return done.stdout


def _reason(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    fatal = [line for line in lines if line.startswith(("fatal: ", "error: "))]
    return re.sub(r"//[^/@\s]+@", "//", (fatal or lines or [""])[0])
