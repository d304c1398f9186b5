#!/usr/bin/python
"""Ansible module: which engine a running router has loaded."""

from __future__ import annotations

DOCUMENTATION = """
module: router_engine_info
short_description: Tell the build id of the engine a running router has loaded
description:
  - Looks at what the unit's processes have mapped, so that it is the engine that runs.
  - Needs the lab's virtual environment as interpreter, and root.
options:
  unit:
    description: The router's systemd unit.
    type: str
    default: screamrouter.service
author: [screamlab]
"""

EXAMPLES = """
- name: Which engine runs
  router_engine_info:
"""

RETURN = """
engine:
  description: >-
    C(file), C(build_id), C(debug_info) whether it has any, and C(build), the record of an engine
    that the lab built; empty where none is loaded.
  type: dict
  returned: success
"""

import dataclasses  # noqa: E402

from ansible.module_utils.basic import AnsibleModule, missing_required_lib  # noqa: E402

try:
    from screamlab.errors import ScreamlabError
    from screamlab.router.engine import loaded_engine
    from screamlab.router.service import SystemdService
except ImportError:
    loaded_engine = None


def argument_spec() -> dict:
    """The module's options."""
    return {"unit": {"type": "str", "default": "screamrouter.service"}}


def main() -> None:
    """Look, and tell."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    if loaded_engine is None:
        module.fail_json(msg=missing_required_lib("screamlab"))
    try:
        pid = SystemdService(module.params["unit"]).pid()
        engine = loaded_engine(pid) if pid else None
    except ScreamlabError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, engine=dataclasses.asdict(engine) if engine else {})


if __name__ == "__main__":
    main()
