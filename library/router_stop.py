#!/usr/bin/python
"""Ansible module: the router's end, as part of a run."""

from __future__ import annotations

DOCUMENTATION = """
module: router_stop
short_description: Stop the router and write down in the run's spool how it ended
description:
  - Stops the router's unit and waits until it is gone. Of one that takes long the stacks of all
    threads are taken before systemd kills it; a core that it leaves is kept.
  - Needs the lab's virtual environment as interpreter.
options:
  unit:
    description: The router's systemd unit.
    type: str
    default: screamrouter.service
  spool:
    description: The run's spool on this host.
    type: path
    required: true
  host:
    description: This host's name in the run.
    type: str
    required: true
  look_after_s:
    description: How long after it was asked to end its stacks are taken; below TimeoutStopSec.
    type: float
    default: 20
author: [screamlab]
"""

EXAMPLES = """
- name: Stop the router
  router_stop:
    spool: /var/lib/screamlab/runs/20260101-120000-tc-stress-001-quick
    host: router1
"""

RETURN = """
outcome:
  description: ended by itself, killed, failed, or absent before.
  type: str
  returned: success, not in check mode
seconds:
  description: How long it took to end.
  type: float
  returned: success, not in check mode
reason:
  description: What it ended with when it failed.
  type: str
  returned: success, not in check mode
files:
  description: Files of the spool that hold its stacks.
  type: list
  elements: str
  returned: success, not in check mode
"""

from dataclasses import asdict  # noqa: E402
from pathlib import Path  # noqa: E402

from ansible.module_utils.basic import AnsibleModule, missing_required_lib  # noqa: E402

try:
    from screamlab.errors import ScreamlabError
    from screamlab.router.service import SystemdService
    from screamlab.router.stop import stop
except ImportError:
    stop = None


def argument_spec() -> dict:
    """The module's options."""
    return {
        "unit": {"type": "str", "default": "screamrouter.service"},
        "spool": {"type": "path", "required": True},
        "host": {"type": "str", "required": True},
        "look_after_s": {"type": "float", "default": 20},
    }


def main() -> None:
    """Stop it where it runs."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    if stop is None:
        module.fail_json(msg=missing_required_lib("screamlab"))
    asked = module.params
    try:
        if module.check_mode:
            module.exit_json(changed=SystemdService(asked["unit"]).pid() is not None)
        done = stop(asked["unit"], Path(asked["spool"]), asked["host"], asked["look_after_s"])
    except ScreamlabError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=done.outcome != "absent", **asdict(done))


if __name__ == "__main__":
    main()
