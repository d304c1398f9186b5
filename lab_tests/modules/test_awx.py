"""The way AWX goes: ansible-runner on a prepared folder, with the survey's answers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from screamlab.paths import CHECKOUT, SCENARIOS

BIN = Path(sys.executable).parent
SURVEY = CHECKOUT / "docs" / "awx" / "survey.json"


def answers() -> dict[str, Any]:
    """What the survey answers where nobody changes anything."""
    return {q["variable"]: q["default"] for q in json.loads(SURVEY.read_text())["spec"]}


def test_the_survey_asks_for_what_there_is() -> None:
    questions = {q["variable"]: q for q in json.loads(SURVEY.read_text())["spec"]}
    told = (CHECKOUT / "playbooks/plan.yml").read_text()
    roles = (CHECKOUT / "roles/lab_lock/defaults/main.yml").read_text()
    for variable, question in questions.items():
        assert re.search(rf"\b{variable}\b", told + roles)
        assert question["default"] in question.get("choices", [question["default"]])
    assert set(questions["scenario"]["choices"]) <= {file.stem for file in SCENARIOS.glob("*.yml")}


def test_runner_plans_a_run_from_a_prepared_folder(tmp_path: Path) -> None:
    (tmp_path / "project").symlink_to(CHECKOUT)
    (tmp_path / "inventory").symlink_to(CHECKOUT / "inventory" / "example")
    (tmp_path / "env").mkdir()
    runs = tmp_path / "runs"
    given = {**answers(), "scenario": "null-path", "screamlab_runs": str(runs)}
    (tmp_path / "env/extravars").write_text(yaml.safe_dump(given))
    environment = {"PATH": f"{BIN}:/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(
        [BIN / "ansible-runner", "run", tmp_path, "-p", "playbooks/plan.yml", "--ident", "awx"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads((runs / "latest/run.json").read_text())
    assert (record["scenario"], record["seed"], record["settings"]) == ("null-path", 1, [])
    assert {file.stem for file in (runs / "latest/plans").iterdir()} == {
        "router1",
        "client1",
        "client2",
    }
    assert (tmp_path / "artifacts/awx/rc").read_text() == "0"


def test_the_environment_takes_its_lists_from_the_project() -> None:
    """The command that it carries out lists what pyproject.toml and nothing else says."""
    told = yaml.safe_load((CHECKOUT / "execution-environment.yml").read_text())
    steps = told["additional_build_steps"]["append_final"]
    joined = re.sub(r"\\\n\s*", "", steps)
    (script,) = re.findall(r'-c "(import tomllib.*?)" >', joined)
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    assert {"ansible-core", "ansible-runner", "numpy", "duckdb"} <= set(done.stdout.split())
    lock = (CHECKOUT / "requirements.lock").read_text()
    for name in ("ansible_core", "ansible_runner"):
        assert f"\n{told['dependencies'][name]['package_pip']}\n" in lock
