#!/usr/bin/python
"""Ansible module: which Python a host has, and what an environment on it was made of.

Runs on the host's own Python, before the lab's environment is there: standard library only.
"""

from __future__ import annotations

DOCUMENTATION = """
module: python_env_info
short_description: Tell a host's Python and the content of an environment made by C(python_env)
options:
  path:
    description: The virtual environment.
    type: path
    required: true
author: [screamlab]
"""

EXAMPLES = """
- name: What is there
  python_env_info:
    path: /opt/screamlab/venv
"""

RETURN = """
python:
  description: Version of the host's Python as C(major.minor).
  type: str
  returned: always
machine:
  description: The hardware's name, as in uname(2).
  type: str
  returned: always
digests:
  description: Names the content of the environment; empty where there is none, or half of one.
  type: list
  elements: str
  returned: always
"""

import platform  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402


def argument_spec() -> dict:
    """The module's options."""
    return {"path": {"type": "path", "required": True}}


def main() -> None:
    """Look, and tell."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    markers = Path(module.params["path"]).glob("content-*")
    module.exit_json(
        changed=False,
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        machine=platform.machine(),
        digests=[marker.name.removeprefix("content-") for marker in markers],
    )


if __name__ == "__main__":
    main()
