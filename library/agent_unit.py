#!/usr/bin/python
"""Ansible module: the transient unit of a run's agent."""

from __future__ import annotations

DOCUMENTATION = """
module: agent_unit
short_description: Start or stop the agent of a run on this host
description:
  - Starts the agent as a transient systemd unit with a runtime limit, or stops it.
  - Needs the lab's virtual environment as interpreter.
options:
  run_id:
    description: The run whose agent is meant.
    type: str
    required: true
  spool:
    description: Folder that holds one folder per run; needed to start.
    type: path
  plan:
    description: The host's plan as JSON; put into the run's folder. Needed to start.
    type: jsonarg
  zero:
    description: The plan's zero, in unix seconds; needed to start.
    type: float
  duration_s:
    description: Length of the plan in seconds; the runtime limit lies above it.
    type: float
  state:
    description: Whether the agent is to run.
    type: str
    choices: [started, stopped]
    default: started
author: [screamlab]
"""

EXAMPLES = """
- name: Start the agent
  agent_unit:
    run_id: 20260101-120000-tc-stress-001-quick
    spool: /var/lib/screamlab/runs
    plan: "{{ lookup('ansible.builtin.file', 'plans/client1.json') }}"
    zero: 1767265200.0
    duration_s: 60
"""

RETURN = """
unit:
  description: Name of the systemd unit.
  type: str
  returned: always
"""

from pathlib import Path  # noqa: E402

from ansible.module_utils.basic import AnsibleModule, missing_required_lib  # noqa: E402

try:
    from screamlab.agent import unit
    from screamlab.errors import ScreamlabError
except ImportError:
    unit = None


def argument_spec() -> dict:
    """The module's options."""
    return {
        "run_id": {"type": "str", "required": True},
        "spool": {"type": "path"},
        "plan": {"type": "jsonarg"},
        "zero": {"type": "float"},
        "duration_s": {"type": "float"},
        "state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
    }


def main() -> None:
    """Compare, then start or stop."""
    module = AnsibleModule(
        argument_spec=argument_spec(),
        supports_check_mode=True,
        required_if=[("state", "started", ("spool", "plan", "zero", "duration_s"))],
    )
    if unit is None:
        module.fail_json(msg=missing_required_lib("screamlab"))
    asked = module.params
    wanted = asked["state"] == "started"
    changed = unit.is_active(asked["run_id"]) != wanted
    try:
        if changed and not module.check_mode:
            if wanted:
                folder = Path(asked["spool"], asked["run_id"])
                unit.start(folder, asked["plan"], asked["zero"], asked["duration_s"])
            else:
                unit.stop(unit.unit_name(asked["run_id"]))
    except ScreamlabError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed, unit=unit.unit_name(asked["run_id"]))


if __name__ == "__main__":
    main()
