"""Packages for a host: made once per content, for the host's interpreter."""

from __future__ import annotations

import os
import runpy
import tarfile
from pathlib import Path

import pytest

from screamlab.errors import InfraError
from screamlab.paths import CHECKOUT
from screamlab.python_site import OWN, Target, python_site

TARGET = Target("3.12", "x86_64")


def names(archive: Path) -> list[str]:
    with tarfile.open(archive) as tar:
        return tar.getnames()


def test_made_once_for_the_hosts_interpreter(tmp_path: Path) -> None:
    lock = CHECKOUT / "requirements.lock"
    made = python_site(["PyYAML"], TARGET, cache=tmp_path, constraints=lock)
    assert made.created
    assert any("cpython-312" in name for name in names(made.archive))
    again = python_site(["PyYAML"], TARGET, cache=tmp_path, constraints=lock)
    assert (again.archive, again.created) == (made.archive, False)
    other = Target("3.11", "x86_64")
    assert python_site(["PyYAML"], other, cache=tmp_path, constraints=lock).digest != made.digest


def test_a_playbook_knows_the_digest_before_the_tar_is_made(tmp_path: Path) -> None:
    filters = runpy.run_path(str(CHECKOUT / "filter_plugins/python_site_digest.py"))
    lock = CHECKOUT / "requirements.lock"
    told = filters["python_site_digest"](["PyYAML"], "3.12", "x86_64", constraints=str(lock))
    assert told == python_site(["PyYAML"], TARGET, cache=tmp_path, constraints=lock).digest


def test_what_is_laid_over_replaces_and_names_the_content(tmp_path: Path) -> None:
    (tmp_path / "yaml").mkdir()
    (tmp_path / "yaml/__init__.py").write_text("# ours")
    overlay = tmp_path / "overlay.tar.gz"
    with tarfile.open(overlay, "w:gz") as tar:
        tar.add(tmp_path / "yaml", arcname="yaml")
    made = python_site(["PyYAML"], TARGET, cache=tmp_path, overlay=overlay)
    with tarfile.open(made.archive) as tar:
        file = tar.extractfile("./yaml/__init__.py")
        assert file and file.read() == b"# ours"
        assert "./yaml/nodes.py" in tar.getnames()
    assert made.digest != python_site(["PyYAML"], TARGET, cache=tmp_path).digest


def test_the_cache_keeps_what_was_asked_for_last(tmp_path: Path) -> None:
    made = python_site(["docopt==0.6.2"], OWN, cache=tmp_path)
    others = [tmp_path / f"{number:02}.tar.gz" for number in range(30)]
    for age, other in enumerate(others):
        other.touch()
        os.utime(other, (age, age))
    os.utime(made.archive, (0.5, 0.5))
    assert not python_site(["docopt==0.6.2"], OWN, cache=tmp_path).created, "and it is used again"
    python_site(["PyYAML"], OWN, cache=tmp_path)
    assert made.archive.exists()
    assert [other.exists() for other in others] == [False, False] + 28 * [True]


def test_what_has_no_wheel_is_built_for_an_interpreter_like_ours_alone(tmp_path: Path) -> None:
    made = python_site(["docopt==0.6.2"], OWN, cache=tmp_path)
    assert "./docopt.py" in names(made.archive)
    with pytest.raises(InfraError, match="docopt==0.6.2"):
        python_site(["docopt==0.6.2"], Target("3.9", "x86_64"), cache=tmp_path)


def test_a_version_that_does_not_exist_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InfraError, match="PyYAML==0.0.999") as caught:
        python_site(["PyYAML==0.0.999"], TARGET, cache=tmp_path)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]
