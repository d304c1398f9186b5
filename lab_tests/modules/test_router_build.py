"""A small package with an engine, built by the role from a git repository of the test's own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from screamlab.observe.elf import read_elf
from screamlab.paths import CHECKOUT
from screamlab.router.engine import loaded_engine

pytestmark = pytest.mark.e2e

PACKAGE = CHECKOUT / "lab_tests/data/router_build"
ENGINE_CPP = (PACKAGE / "src/engine.cpp").read_text().splitlines()
LOSES = next(number for number, line in enumerate(ENGINE_CPP, 1) if "new char" in line)
STEPS = [["cp", "answer.h.in", "src/answer.h"]]
LOST = 4321
# The one that ansible.cfg names, which the engine is built for.
PYTHON = "/usr/bin/python3"


def git(tree: Path, *arguments: str) -> str:
    who = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    done = subprocess.run(
        ["git", *who, *arguments], cwd=tree, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package in a repository at tag 1.2.3, which a later commit has broken."""
    folder = tmp_path_factory.mktemp("router_build")
    tree = folder / "repository"
    shutil.copytree(PACKAGE, tree)
    git(tree, "init", "--quiet")
    git(tree, "add", ".")
    git(tree, "commit", "--quiet", "-m", "A release")
    git(tree, "tag", "-a", "1.2.3", "-m", "A release")
    (tree / "src/engine.cpp").write_text("this is not C++\n")
    git(tree, "commit", "--quiet", "-a", "-m", "A mistake")
    return folder


def play(folder: Path, **build: Any) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """Run the role for this machine, and unpack what it built into the folder `env`."""
    variables = {
        "router_build": {
            "repository": str(folder / "repository"),
            "ref": "1.2.3",
            "steps": STEPS,
            "folder": str(folder / "build"),
            **build,
        },
        "router_build_cache": str(folder / "cache"),
        "router_build_lab_python": sys.executable,
        "python_env_constraints": str(CHECKOUT / "requirements.lock"),
    }
    answer = folder / "answer.json"
    answer.unlink(missing_ok=True)
    told = {
        "archive": "{{ __router_build_source.archive }}",
        "record": "{{ __router_build_record }}",
        "built": "{{ __router_build_made is defined and __router_build_made is changed }}",
    }
    tasks: list[dict[str, Any]] = [
        {"include_role": {"name": "router_build"}},
        {"copy": {"dest": str(answer), "content": "{{ told | to_json }}"}, "vars": {"told": told}},
    ]
    playbook = folder / "playbook.yml"
    hosts = {"hosts": "localhost", "connection": "local", "gather_facts": False}
    playbook.write_text(yaml.safe_dump([{**hosts, "vars": variables, "tasks": tasks}]))
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "-i", "localhost,", str(playbook)],
        cwd=CHECKOUT,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
    )
    if not answer.exists():
        return done, {}
    said = json.loads(answer.read_text())
    shutil.unpack_archive(said["archive"], folder / "env")
    return done, said


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """What a role that failed said."""
    assert done.returncode != 0
    found = re.search(
        r"\[ERROR\]: Task failed: (?:Module failed: |Action failed: )?(.+)",
        done.stdout + done.stderr,
    )
    assert found, done.stdout[-3000:] + done.stderr[-3000:]
    return found.group(1)


@pytest.fixture(scope="module")
def built(folder: Path) -> dict[str, Any]:
    done, answer = play(folder)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    return answer


def engine_of(folder: Path) -> Path:
    return next(folder.glob("env/leaky/engine.*.so"))


def test_built_with_what_was_asked_for_and_told_of(folder: Path, built: dict[str, Any]) -> None:
    record = built["record"]
    assert built["built"]
    assert record["version"] == "1.2.3"
    assert record["commit"] == git(folder / "repository", "rev-parse", "1.2.3^{commit}")
    assert record["flags"] == ["-g", "-O1", "-fno-omit-frame-pointer"]
    elf = read_elf(engine_of(folder))
    assert elf.debug_info and elf.build_id
    assert list(record["build_ids"].values()) == [elf.build_id]
    assert not (folder / "build").exists()


def test_a_symbol_is_resolved_to_its_line(folder: Path, built: dict[str, Any]) -> None:
    engine = engine_of(folder)
    symbols = subprocess.run(["nm", engine], capture_output=True, text=True, check=True).stdout
    address = next(line.split()[0] for line in symbols.splitlines() if line.endswith("_Z4losem"))
    found = subprocess.run(
        ["addr2line", "-f", "-e", engine, address], capture_output=True, text=True, check=True
    ).stdout
    assert found.splitlines() == ["_Z4losem", f"./src/engine.cpp:{LOSES - 1}"]


def test_a_process_tells_which_engine_it_has_loaded(
    folder: Path, built: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("screamlab.router.engine.ENGINE", "engine")
    load = "import sys, leaky.engine; print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [PYTHON, "-c", load], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder / "env"
    ) as process:
        assert process.stdout and process.stdout.readline() == b"\n"
        engine = loaded_engine(process.pid)
        assert process.stdin
        process.stdin.close()
    assert engine and engine.debug_info
    assert engine.build == built["record"]
    assert engine.build_id in built["record"]["build_ids"].values()


@pytest.mark.skipif(not shutil.which("valgrind"), reason="valgrind is not installed")
def test_valgrind_names_the_line_that_loses_memory(folder: Path, built: dict[str, Any]) -> None:
    lose = f"import leaky.engine as engine; engine.lose({LOST}); assert engine.answer == 42"
    done = subprocess.run(
        ["valgrind", "--leak-check=full", "--num-callers=4", PYTHON, "-c", lose],
        capture_output=True,
        text=True,
        cwd=folder / "env",
    )
    assert done.returncode == 0, done.stderr[-2000:]
    record = done.stderr.partition(f"{LOST:,} bytes in 1 blocks are definitely lost")[2]
    assert f"lose(unsigned long) (engine.cpp:{LOSES})" in record[:600]


def test_the_same_again_comes_from_the_cache(folder: Path, built: dict[str, Any]) -> None:
    done, again = play(folder)
    assert done.returncode == 0
    assert not again["built"]
    assert again["record"] == built["record"]
    # All that changes is the answer of this test's playbook.
    assert " changed=1 " in done.stdout[done.stdout.index("PLAY RECAP") :]


def test_other_flags_are_another_engine(folder: Path, built: dict[str, Any]) -> None:
    done, other = play(folder, sanitizers=["address"])
    assert done.returncode == 0, done.stdout[-3000:]
    assert other["built"] and other["archive"] != built["archive"]
    record = other["record"]
    assert "-fsanitize=address" in record["flags"]
    assert record["environment"]["LD_PRELOAD"].startswith("libasan.so.")
    start = [PYTHON, "-c", "import leaky.engine as engine; engine.lose(1)"]
    environment = {**os.environ, **record["environment"], "ASAN_OPTIONS": "detect_leaks=1"}
    done = subprocess.run(
        start, capture_output=True, text=True, cwd=folder / "env", env=environment
    )
    assert f"in lose(unsigned long) src/engine.cpp:{LOSES}" in done.stderr


@pytest.mark.parametrize(
    ("build", "said"),
    [
        ({"repository": ""}, r"localhost: no repository is named .* set router\.build\.repository"),
        (
            {"repository": "/nowhere/at/all"},
            r"the repository /nowhere/at/all cannot be reached: .+",
        ),
        ({"steps": []}, r".* error: answer\.h: No such file or directory .*build\.log.*"),
    ],
    ids=["unnamed", "unreachable", "not buildable"],
)
def test_what_goes_wrong_is_one_sentence(folder: Path, build: dict[str, Any], said: str) -> None:
    done, _ = play(folder, **build)
    assert re.fullmatch(said, sentence(done))
