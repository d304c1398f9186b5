#!/usr/bin/python
"""Ansible module: a lab of virtual hosts on this machine."""

from __future__ import annotations

DOCUMENTATION = """
module: lab_local
short_description: Bring a lab of virtual hosts up on this machine, or take it down
description:
  - Makes the lab's networks, keys and hosts, starts the hosts that do not run, and waits until
    the SSH server of each of them answers.
  - Taking a lab down leaves nothing of it, whether it was up, half up or down.
  - Needs root, and the lab's virtual environment as interpreter.
options:
  name:
    description: Name of the lab, 1 to 16 of a-z and 0-9, a letter first.
    type: str
    required: true
  subnet:
    description:
      - The lab's number, 0 to 255, different for every lab on the machine.
      - It is the third byte of its management (198.18.n.0/24) and data (198.19.n.0/24) networks.
    type: int
    required: true
  state:
    description: Whether the lab is to be there.
    type: str
    choices: [present, absent]
    default: present
  hosts:
    description: The hosts of the lab.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Host name, 1 to 8 of a-z and 0-9, a letter first.
        type: str
        required: true
      management:
        description: Address with prefix length where the controller reaches it.
        type: str
        required: true
      data:
        description: Address with prefix length on the data network.
        type: str
        required: true
      kind:
        description:
          - V(container) shares the machine's kernel.
          - V(uml) brings a kernel of its own (User-Mode Linux). It is named C(wan), its data
            address is the gateway, and all that hosts send on the data network passes through it.
        type: str
        choices: [container, uml]
        default: container
      realtime:
        description:
          - The part of each processor's time that its real-time processes may take, where the
            kernel gives that out by control group (CONFIG_RT_GROUP_SCHED).
          - All hosts of all labs on a machine have 0.95 together; one that finds too little left
            gets none.
        type: float
        default: 0.0
  user:
    description: The unprivileged user with sudo rights as which the controller logs in.
    type: str
    default: labadmin
  disk_mib:
    description: How much each host can write; it is kept in memory.
    type: int
    default: 8192
  hidden:
    description: Folders of the machine that are empty on the hosts.
    type: list
    elements: path
    default: []
  boot_timeout_s:
    description: How long all hosts together may take to answer.
    type: float
    default: 30.0
author: [screamlab]
"""

EXAMPLES = """
- name: Bring a lab of two up
  lab_local:
    name: lab
    subnet: 0
    hosts:
      - {name: router1, management: 198.18.0.10/24, data: 198.19.0.10/24}
      - {name: client1, management: 198.18.0.11/24, data: 198.19.0.11/24}

- name: Take it down
  lab_local:
    name: lab
    subnet: 0
    state: absent
"""

RETURN = """
steps:
  description: What was done, or would be in check mode, one line each.
  type: list
  elements: str
  returned: success
private_key:
  description: The key that opens every host of the lab.
  type: str
  returned: success
known_hosts:
  description: The host keys, in the form of ssh's known_hosts file.
  type: str
  returned: success
"""

import os  # noqa: E402

from ansible.module_utils.basic import AnsibleModule, missing_required_lib  # noqa: E402

try:
    from screamlab.errors import ScreamlabError
    from screamlab.local_lab import lab as local_lab
    from screamlab.local_lab.model import Lab, parse_lab
except ImportError:
    local_lab = None


def argument_spec() -> dict:
    """The module's options."""
    host: dict = {key: {"type": "str", "required": True} for key in ("name", "management", "data")}
    host["kind"] = {"type": "str", "choices": ["container", "uml"], "default": "container"}
    host["realtime"] = {"type": "float", "default": 0.0}
    return {
        "name": {"type": "str", "required": True},
        "subnet": {"type": "int", "required": True},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "hosts": {"type": "list", "elements": "dict", "default": [], "options": host},
        "user": {"type": "str", "default": "labadmin"},
        "disk_mib": {"type": "int", "default": 8192},
        "hidden": {"type": "list", "elements": "path", "default": []},
        "boot_timeout_s": {"type": "float", "default": 30.0},
    }


def present(lab: Lab, boot_timeout_s: float, check_mode: bool) -> list[str]:
    """Bring the lab up; return the steps that took or would take."""
    plan = local_lab.plan(lab, local_lab.observe(lab))
    steps = plan.describe()
    if steps and not check_mode:
        local_lab.apply(lab, plan, boot_timeout_s)
        left = local_lab.plan(lab, local_lab.observe(lab)).describe()
        if left:
            raise local_lab.InfraError(f"lab {lab.name} is not up: {'; '.join(left)}")
    return steps


def absent(lab: Lab, check_mode: bool) -> list[str]:
    """Take the lab down; return what was or would be removed."""
    steps = [f"remove {thing}" for thing in local_lab.remains(lab)]
    if steps and not check_mode:
        local_lab.remove(lab)
        if left := local_lab.remains(lab):
            raise local_lab.InfraError(f"lab {lab.name} is not down: {', '.join(left)}")
    return steps


def main() -> None:
    """Observe, plan, apply, observe again."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    if local_lab is None:
        module.fail_json(msg=missing_required_lib("screamlab"))
    if os.geteuid():
        module.fail_json(msg="a local lab needs root on this machine")
    asked = module.params
    try:
        lab = parse_lab(asked)
        with local_lab.changing():
            if asked["state"] == "present":
                steps = present(lab, asked["boot_timeout_s"], module.check_mode)
            else:
                steps = absent(lab, module.check_mode)
    except ScreamlabError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=bool(steps),
        steps=steps,
        diff={"prepared": "".join(f"{step}\n" for step in steps)},
        private_key=str(lab.key),
        known_hosts=str(lab.known_hosts),
    )


if __name__ == "__main__":
    main()
