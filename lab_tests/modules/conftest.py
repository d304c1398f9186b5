"""What the tests of Ansible's modules share."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from screamlab.paths import CHECKOUT


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Run a module of the library as Ansible would; its answer."""

    def run(name: str, *, check: bool = False, **params: Any) -> dict[str, Any]:
        spec = importlib.util.spec_from_file_location(name, CHECKOUT / f"library/{name}.py")
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        capsys.readouterr()
        hidden = {"_ansible_check_mode": check, "_ansible_diff": True}
        plain = json.loads(json.dumps(params, default=str))
        with patch_module_args(plain | hidden), pytest.raises(SystemExit):
            module.main()
        answer: dict[str, Any] = json.loads(capsys.readouterr().out)
        return answer

    return run
