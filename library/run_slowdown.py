#!/usr/bin/python
"""Ansible module: the limits of time of a run whose router is slow."""

from __future__ import annotations

DOCUMENTATION = """
module: run_slowdown
short_description: Make a run's limits of time longer by what a tool slows its router down
description:
  - Runs on the controller. Changes the router's limits in C(run.json), and the limits of all who
    wait for the router in the hosts' plans, and notes what was measured.
  - A run is made slower once; the first measurement counts.
options:
  folder:
    description: The run folder.
    type: path
    required: true
  measured:
    description: What C(memcheck_slowdown) measured; its C(factor) is how many times slower it is.
    type: dict
    required: true
author: [screamlab]
"""

EXAMPLES = """
- name: Give everything more time
  run_slowdown:
    folder: runs/20260101-120000-tc-stability-001-quick
    measured: {factor: 42.5, plain_s: 0.02, tool_s: 0.85}
"""

RETURN = """
factor:
  description: By how much the limits of the run are longer now.
  type: float
  returned: success
"""

from pathlib import Path  # noqa: E402

from ansible.module_utils.basic import AnsibleModule, missing_required_lib  # noqa: E402

try:
    from screamlab.errors import ScreamlabError
    from screamlab.run.record import read_record
    from screamlab.run.slowdown import slow_run
except ImportError:
    slow_run = None


def argument_spec() -> dict:
    """The module's options."""
    return {
        "folder": {"type": "path", "required": True},
        "measured": {"type": "dict", "required": True},
    }


def main() -> None:
    """Note and change, once."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    if slow_run is None:
        module.fail_json(msg=missing_required_lib("screamlab"))
    folder, measured = Path(module.params["folder"]), module.params["measured"]
    try:
        changed = slow_run(folder, measured, dry=module.check_mode)
        factor = read_record(folder).get("slowdown", measured["factor"])
    except ScreamlabError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed, factor=float(factor))


if __name__ == "__main__":
    main()
