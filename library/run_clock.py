#!/usr/bin/python
"""Ansible module: the shared zero of a run."""

from __future__ import annotations

DOCUMENTATION = """
module: run_clock
short_description: Fix the zero of a run, once
description:
  - Runs on the controller. Writes the unix time at which every host's plan begins into the run
    folder. A run has one zero; a second start of the same run is refused.
options:
  folder:
    description: The run folder.
    type: path
    required: true
  lead_s:
    description: Seconds from now until zero; the agents must be up by then.
    type: float
    default: 10
  router:
    description: What is known by now of the router that runs, such as its version and method.
    type: dict
    default: {}
author: [screamlab]
"""

EXAMPLES = """
- name: Start the run's clock
  run_clock:
    folder: runs/20260101-120000-tc-stress-001-quick
"""

RETURN = """
zero:
  description: The run's zero, in unix seconds.
  type: float
  returned: always
"""

from pathlib import Path  # noqa: E402

from ansible.module_utils.basic import AnsibleModule, missing_required_lib  # noqa: E402

try:
    from screamlab.errors import ScreamlabError
    from screamlab.run.clocks import start_clock
except ImportError:
    start_clock = None


def argument_spec() -> dict:
    """The module's options."""
    return {
        "folder": {"type": "path", "required": True},
        "lead_s": {"type": "float", "default": 10},
        "router": {"type": "dict", "default": {}},
    }


def main() -> None:
    """Write the zero."""
    module = AnsibleModule(argument_spec=argument_spec())
    if start_clock is None:
        module.fail_json(msg=missing_required_lib("screamlab"))
    asked = module.params
    try:
        record = start_clock(Path(asked["folder"]), asked["lead_s"], asked["router"])
    except ScreamlabError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=True, zero=record["zero"])


if __name__ == "__main__":
    main()
