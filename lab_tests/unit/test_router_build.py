"""What decides how an engine is built, and what is known of a built one."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from screamlab.errors import BadInput, InfraError
from screamlab.observe.elf import read_elf
from screamlab.router.engine_build import first_error, parallel_jobs, runtime_environment
from screamlab.router.recipe import RECORD, Recipe, read_record
from screamlab.router.source import fetch, public, resolve

GIB = 2**30
RECIPE = Recipe(
    commit="c" * 40,
    submodules=["."],
    python="3.11",
    machine="x86_64",
    packages=[],
    python_packages=[],
    environment={},
    steps=[],
    cflags=["-g"],
    sanitizers=[],
)


@pytest.mark.parametrize(
    ("cores", "gib", "jobs"), [(2, 20, 2), (16, 20, 13), (4, 3.1, 2), (4, 0.2, 1)]
)
def test_as_many_compilers_as_cores_and_memory_allow(cores: int, gib: float, jobs: int) -> None:
    assert parallel_jobs(cores, gib * GIB) == jobs


@pytest.mark.parametrize(
    "change",
    [
        {"commit": "d" * 40},
        {"cflags": ["-g", "-O2"]},
        {"sanitizers": ["thread"]},
        {"python": "3.12"},
        {"machine": "aarch64"},
        {"steps": [["true"]]},
        {"environment": {"A": "1"}},
        {"submodules": []},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_makes_another_engine_makes_another_key(change: dict[str, Any]) -> None:
    assert dataclasses.replace(RECIPE).key == RECIPE.key
    assert dataclasses.replace(RECIPE, **change).key != RECIPE.key


def test_sanitizers_are_flags_and_two_of_them_exclude_each_other() -> None:
    flags = dataclasses.replace(RECIPE, sanitizers=["address", "undefined"]).flags
    assert flags == ["-g", "-fsanitize=address", "-fsanitize=undefined"]
    with pytest.raises(BadInput, match="address and thread"):
        dataclasses.replace(RECIPE, sanitizers=["thread", "address"])


def test_a_sanitizer_is_loaded_before_python() -> None:
    needed = ["libasan.so.8", "libstdc++.so.6", "libc.so.6"]
    assert runtime_environment(needed)["LD_PRELOAD"] == "libasan.so.8 libstdc++.so.6"
    assert runtime_environment(["libubsan.so.1", "libstdc++.so.6"]) == {}


def test_half_an_engine_in_the_cache_is_none(tmp_path: Path) -> None:
    whole, half = tmp_path / "whole.tar.gz", tmp_path / "half.tar.gz"
    (tmp_path / "engine.so").write_bytes(bytes(range(256)) * 1000)
    (tmp_path / RECORD).write_text('{"version": "1.2.3"}')
    with tarfile.open(whole, "w:gz") as tar:
        for name in ("engine.so", RECORD):
            tar.add(tmp_path / name, arcname=name)
    half.write_bytes(whole.read_bytes()[:-100])
    assert read_record(whole) == {"version": "1.2.3"}
    assert read_record(half) is None
    assert read_record(tmp_path / "none.tar.gz") is None


def test_what_a_program_tells_of_itself() -> None:
    elf = read_elf(Path("/bin/sh"))
    assert re.fullmatch("[0-9a-f]{40}", elf.build_id or "")
    assert (elf.debug_info, elf.needed) == (False, ("libc.so.6",))


def test_what_is_no_elf_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InfraError, match=r"none\.so: is no ELF file"):
        read_elf(tmp_path / "none.so")


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("cc -c a.c\na.c:1:10: fatal error: b.h: No such file\nmake: *** Error 1", "a.c:1:10"),
        ("Traceback\nRuntimeError: Missing build prerequisites.\nmore", "RuntimeError: Missing"),
        ("-Werror_handler.c\nthe last words\n\n", "the last words"),
        ("", "it said nothing"),
    ],
)
def test_the_first_error_is_what_is_told(output: str, said: str) -> None:
    assert first_error(output).startswith(said)


def git(tree: Path, *arguments: str) -> str:
    who = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    command = ["git", *who, "-c", "protocol.file.allow=always", *arguments]
    done = subprocess.run(command, cwd=tree, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a branch and a tag of one name, and a submodule."""
    for name in ("part", "whole"):
        tree = tmp_path / name
        tree.mkdir()
        git(tree, "init", "--quiet", "--initial-branch=main")
        (tree / f"{name}.txt").write_text(name)
        git(tree, "add", ".")
        git(tree, "commit", "--quiet", "-m", "first")
    whole = tmp_path / "whole"
    git(whole, "tag", "-a", "1.0", "-m", "a release")
    git(whole, "submodule", "--quiet", "add", "../part", "deps/part")
    git(whole, "commit", "--quiet", "-m", "second")
    git(whole, "branch", "1.0")
    return whole


def test_a_reference_is_made_a_commit(repository: Path) -> None:
    head = git(repository, "rev-parse", "HEAD")
    assert resolve(str(repository), "main") == resolve(str(repository), "HEAD") == head
    assert resolve(str(repository), "1.0") == git(repository, "rev-parse", "refs/tags/1.0^{}")
    assert resolve("/nowhere", head) == head
    with pytest.raises(BadInput, match=r"no tag, branch or full commit hash '2\.0'"):
        resolve(str(repository), "2.0")
    with pytest.raises(InfraError, match=r"^the repository /nowhere cannot be reached: fatal: .+"):
        resolve("/nowhere", "main")


def names(archive: Path) -> set[str]:
    with tarfile.open(archive) as tar:
        return {member.name for member in tar if member.isfile()}


def test_the_source_has_the_submodules_that_are_asked_for(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in {"COUNT": "1", "KEY_0": "protocol.file.allow", "VALUE_0": "always"}.items():
        monkeypatch.setenv(f"GIT_CONFIG_{key}", value)
    commit = git(repository, "rev-parse", "HEAD")
    bare = fetch(str(repository), commit, [], tmp_path)
    assert names(bare.archive) == {"./.gitmodules", "./whole.txt"}
    assert bare.requires == ("setuptools", "wheel")
    full = fetch(str(repository), commit, ["."], tmp_path)
    assert names(full.archive) == {"./.gitmodules", "./whole.txt", "./deps/part/part.txt"}
    (tmp_path / "part").rename(tmp_path / "gone")
    assert fetch(str(repository), commit, ["."], tmp_path) == full
    full.archive.unlink()
    with pytest.raises(InfraError, match="a submodule of .+ cannot be fetched: fatal: "):
        fetch(str(repository), commit, ["."], tmp_path)


def test_a_pyproject_that_cannot_be_read_is_named(repository: Path, tmp_path: Path) -> None:
    (repository / "pyproject.toml").write_text("[build-system\n")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "third")
    with pytest.raises(BadInput, match=r"^pyproject\.toml of the source: .+line 1"):
        fetch(str(repository), git(repository, "rev-parse", "HEAD"), [], tmp_path)


def test_credentials_are_not_told() -> None:
    assert public("https://me:secret@example.org/a.git") == "https://example.org/a.git"
    assert public("git@example.org:a.git") == "git@example.org:a.git"
