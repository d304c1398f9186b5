"""The lab's own noise floor with forty native streams between two hosts."""

from __future__ import annotations

import json

import pytest
from labs import Lab

pytestmark = pytest.mark.e2e


def test_forty_streams_pass_the_null_path_without_a_dropout(lab: Lab) -> None:
    folder = lab.passed("null-path", "null")
    verdict = json.loads((folder / "verdict.json").read_text())
    floor = [check for check in verdict["checks"] if check["id"] == "lab.null_path"]
    assert floor
    assert all(check["status"] == "pass" for check in floor)
