#!/usr/bin/python
"""Ansible module: who is at work on the controller, as a lock of the lab names it."""

from __future__ import annotations

DOCUMENTATION = """
module: lab_holder
short_description: Tell who this is, and whether another holder is gone
description:
  - Runs on the controller.
options:
  run_id:
    description: The run that it works for; without one it is somebody who works by hand.
    type: str
    default: ""
  seen:
    description: Another holder, as the module C(lab_lock) tells.
    type: dict
author: [screamlab]
"""

EXAMPLES = """
- name: See who this is
  lab_holder:
    run_id: 20260101-120000-tc-stress-001-quick
  register: __lab_lock_me
"""

RETURN = """
holder:
  description: Token, run, user, controller, boot, PID namespace and process of this playbook.
  type: dict
  returned: always
gone:
  description: Whether the holder that was seen is known to be gone; false where it cannot be known.
  type: bool
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib  # noqa: E402

try:
    from screamlab.run.holder import is_gone, this_holder
except ImportError:
    this_holder = None


def argument_spec() -> dict:
    """The module's options."""
    return {"run_id": {"type": "str", "default": ""}, "seen": {"type": "dict"}}


def main() -> None:
    """Look, and tell."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    if this_holder is None:
        module.fail_json(msg=missing_required_lib("screamlab"))
    seen = module.params["seen"]
    gone = bool(seen) and is_gone(seen)
    module.exit_json(changed=False, holder=this_holder(module.params["run_id"]), gone=gone)


if __name__ == "__main__":
    main()
