#!/usr/bin/python
"""Ansible module: a router that has ended in order."""

from __future__ import annotations

DOCUMENTATION = """
module: memcheck_stop
short_description: End a router under a tool so that the tool can write its report
description:
  - Asks the unit to stop and waits until its main process is gone; one that does not go by SIGINT
    gets SIGTERM, then SIGKILL, and its stacks are written down before.
  - Needs the lab's virtual environment as interpreter, and root.
options:
  unit:
    description: The router's systemd unit.
    type: str
    default: screamrouter.service
  patience_s:
    description: How long SIGINT and SIGTERM may take.
    type: float
    default: 300.0
  folder:
    description: Where stacks are written.
    type: path
    required: true
author: [screamlab]
"""

EXAMPLES = """
- name: End it
  memcheck_stop:
    folder: /var/lib/screamlab/runs/nightly
"""

RETURN = """
pid:
  description: The process that has ended, or would in check mode; 0 when there was none.
  type: int
  returned: success
ended_by:
  description: The signal that ended it, SIGINT, SIGTERM or SIGKILL.
  type: str
  returned: success
seconds:
  description: How long it took.
  type: float
  returned: success
files:
  description: Names of the files that hold its stacks.
  type: list
  elements: str
  returned: success
"""

from dataclasses import asdict  # noqa: E402
from pathlib import Path  # noqa: E402

from ansible.module_utils.basic import AnsibleModule, missing_required_lib  # noqa: E402

try:
    from screamlab.errors import ScreamlabError
    from screamlab.router.service import SystemdService
    from screamlab.router.stop_firmly import Stopped, stop_firmly
except ImportError:
    stop_firmly = None


def argument_spec() -> dict:
    """The module's options."""
    return {
        "unit": {"type": "str", "default": "screamrouter.service"},
        "patience_s": {"type": "float", "default": 300.0},
        "folder": {"type": "path", "required": True},
    }


def main() -> None:
    """Stop and wait."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    if stop_firmly is None:
        module.fail_json(msg=missing_required_lib("screamlab"))
    asked = module.params
    service = SystemdService(asked["unit"])
    try:
        if module.check_mode:
            stopped = Stopped(service.pid() or 0, "", 0.0)
        else:
            stopped = stop_firmly(service, Path(asked["folder"]), patience_s=asked["patience_s"])
    except ScreamlabError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=stopped.pid > 0, **asdict(stopped))


if __name__ == "__main__":
    main()
