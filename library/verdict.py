#!/usr/bin/python
"""Ansible module: the verdict on a run."""

from __future__ import annotations

DOCUMENTATION = """
module: verdict
short_description: Judge a collected run
description:
  - Runs on the controller. Judges the evidence in a run folder and writes C(verdict.json),
    C(junit.xml) and C(report.html) there. Needs no lab, and may be repeated at any time.
  - The module itself succeeds whatever the verdict is; it fails when the folder cannot be judged.
options:
  folder:
    description: The run folder.
    type: path
    required: true
  known_issues:
    description: The file of failures that are expected of given router versions.
    type: path
    required: true
author: [screamlab]
"""

EXAMPLES = """
- name: Judge the run
  verdict:
    folder: runs/20260101-120000-tc-stress-001-quick
    known_issues: lab_tests/known_issues.yml
  register: judged
"""

RETURN = """
verdict:
  description: PASS, FAIL, INVALID or INFRA.
  type: str
  returned: success
reason:
  description: One sentence that says why.
  type: str
  returned: success
exit_code:
  description: What a command ends with after this verdict.
  type: int
  returned: success
line:
  description: Verdict, scenario, scale and reason in one line.
  type: str
  returned: success
files:
  description: The files that were written, or would be in check mode.
  type: list
  elements: str
  returned: success
"""

from pathlib import Path  # noqa: E402

from ansible.module_utils.basic import AnsibleModule, missing_required_lib  # noqa: E402

try:
    from screamlab.errors import ScreamlabError
    from screamlab.judge.run import judge_folder
except ImportError:
    judge_folder = None


def argument_spec() -> dict:
    """The module's options."""
    return {
        "folder": {"type": "path", "required": True},
        "known_issues": {"type": "path", "required": True},
    }


def main() -> None:
    """Judge and write."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    if judge_folder is None:
        module.fail_json(msg=missing_required_lib("screamlab"))
    folder, known = (Path(module.params[key]) for key in ("folder", "known_issues"))
    try:
        judged = judge_folder(folder, known, dry=module.check_mode)
    except ScreamlabError as error:
        module.fail_json(msg=str(error))
    told = judged.verdict
    module.exit_json(
        changed=bool(judged.changed),
        files=list(judged.changed),
        verdict=told.verdict,
        reason=told.reason,
        exit_code=told.exit_code,
        line=told.line,
    )


if __name__ == "__main__":
    main()
