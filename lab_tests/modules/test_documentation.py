"""Every module of the library documents exactly the options it takes."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from screamlab.paths import CHECKOUT

MODULES = sorted((CHECKOUT / "library").glob("*.py"))


def imported(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"library_{file.stem}", file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def documented(options: dict[str, Any]) -> dict[str, Any]:
    kept = ("type", "required", "default", "choices", "elements")
    plain = {
        name: {key: option[key] for key in kept if key in option}
        for name, option in options.items()
    }
    for name, option in options.items():
        if "suboptions" in option:
            plain[name]["options"] = documented(option["suboptions"])
    return plain


def accepted(spec: dict[str, Any]) -> dict[str, Any]:
    kept = ("type", "required", "default", "choices", "elements")
    plain = {
        name: {key: option[key] for key in kept if key in option} for name, option in spec.items()
    }
    for name, option in spec.items():
        if "options" in option:
            plain[name]["options"] = accepted(option["options"])
    return plain


@pytest.mark.parametrize("file", MODULES, ids=lambda file: file.stem)
def test_documentation_and_argument_spec_agree(file: Path) -> None:
    module = imported(file)
    documentation = yaml.safe_load(module.DOCUMENTATION)
    assert documentation["module"] == file.stem
    assert documented(documentation.get("options", {})) == accepted(module.argument_spec())


@pytest.mark.parametrize("file", MODULES, ids=lambda file: file.stem)
def test_examples_use_only_documented_options(file: Path) -> None:
    module = imported(file)
    options = yaml.safe_load(module.DOCUMENTATION).get("options", {})
    uses = [task[file.stem] for task in yaml.safe_load(module.EXAMPLES) if file.stem in task]
    assert uses
    for use in uses:
        assert set(use or {}) <= set(options)
    assert yaml.safe_load(module.RETURN)
