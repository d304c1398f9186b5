#!/usr/bin/python
"""Ansible module: the facts of a host that could explain a difference between runs."""

from __future__ import annotations

DOCUMENTATION = """
module: host_facts_info
short_description: Read kernel, processor, clock, qdisc, offload, sysctl and version facts
description:
  - Changes nothing. What a host does not have is null. Needs the lab's virtual environment as
    interpreter.
options:
  router_venv:
    description: The router's virtual environment, for its version.
    type: path
    default: /opt/screamrouter/venv
  disks:
    description: Paths whose file systems' size and free space are told.
    type: list
    elements: path
    default: [/]
author: [screamlab]
"""

EXAMPLES = """
- name: Read the host's facts
  host_facts_info:
    disks: [/, /var/lib/screamlab]
  register: host_facts
"""

RETURN = """
facts:
  description: The facts, as C(facts.json) of the evidence bundle has them.
  type: dict
  returned: always
"""

from pathlib import Path  # noqa: E402

from ansible.module_utils.basic import AnsibleModule, missing_required_lib  # noqa: E402

try:
    from screamlab.observe.host_facts import gather
except ImportError:
    gather = None


def argument_spec() -> dict:
    """The module's options."""
    return {
        "router_venv": {"type": "path", "default": "/opt/screamrouter/venv"},
        "disks": {"type": "list", "elements": "path", "default": ["/"]},
    }


def main() -> None:
    """Read the facts."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    if gather is None:
        module.fail_json(msg=missing_required_lib("screamlab"))
    facts = gather(
        router_venv=Path(module.params["router_venv"]),
        disks=[Path(path) for path in module.params["disks"]],
    )
    module.exit_json(changed=False, facts=facts)


if __name__ == "__main__":
    main()
