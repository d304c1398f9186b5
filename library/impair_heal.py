#!/usr/bin/python
"""Ansible module: a host on which nothing of the lab's breaks the network."""

from __future__ import annotations

DOCUMENTATION = """
module: impair_heal
short_description: Heal every device of this host, and prove that the host is clean
description:
  - Stops the agents whose plans break the network, and removes the lab's qdiscs, filters and ifb
    devices, the marks of impaired devices, and the dead men that watch them. Nothing that is not
    the lab's is touched.
  - Fails when something is left.
  - Needs the lab's virtual environment as interpreter, and root.
options: {}
author: [screamlab]
"""

EXAMPLES = """
- name: Heal the host
  impair_heal:
"""

RETURN = """
found:
  description: What of the lab's was on the host, one sentence each.
  type: list
  elements: str
  returned: always
left:
  description: What is still there; nothing means that the host was seen to be clean.
  type: list
  elements: str
  returned: when not in check mode
"""

from pathlib import Path  # noqa: E402

from ansible.module_utils.basic import AnsibleModule, missing_required_lib  # noqa: E402

try:
    from screamlab.agent import unit
    from screamlab.errors import ScreamlabError
    from screamlab.impair import heal
except ImportError:
    heal = None


# Where the hosts keep their plans.
RUNS = Path("/var/lib/screamlab/runs")


def argument_spec() -> dict:
    """The module's options."""
    return {}


def main() -> None:
    """Look, heal, look again."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    if heal is None:
        module.fail_json(msg=missing_required_lib("screamlab"))
    try:
        # Told as it is before the agents mend what they have broken.
        agents = unit.impairing(RUNS)
        found = [*(f"agent {name}" for name in agents), *heal.survey().said]
        changes = {
            "changed": bool(found),
            "found": found,
            "diff": {"prepared": "".join(f"heal {thing}\n" for thing in found)},
        }
        if module.check_mode:
            module.exit_json(**changes)
        for name in agents:
            unit.stop(name)
        left = heal.host()
    except ScreamlabError as error:
        module.fail_json(msg=str(error), left=[str(error)])
    if left:
        module.fail_json(msg=f"the host is not clean: {'; '.join(left)}", found=found, left=left)
    module.exit_json(left=left, **changes)


if __name__ == "__main__":
    main()
