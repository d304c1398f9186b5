"""Packages for a host: made once per content, for the host's interpreter."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from screamlab.errors import InfraError
from screamlab.paths import CHECKOUT
from screamlab.python_site import Target, python_site

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


def test_a_version_that_does_not_exist_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InfraError, match="PyYAML==0.0.999") as caught:
        python_site(["PyYAML==0.0.999"], TARGET, cache=tmp_path)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]
