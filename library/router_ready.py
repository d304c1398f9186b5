#!/usr/bin/python
"""Ansible module: a router whose engine works."""

from __future__ import annotations

DOCUMENTATION = """
module: router_ready
short_description: Wait until a ScreamRouter's engine works, and restart it after a start race
description:
  - The API of the router answers even when its engine does not work. This module looks at the
    engine's UDP ports, which the unit's processes must hold and read from.
  - A start in which a receiver thread was lost (the router's start race) is recorded and the unit
    is restarted, up to C(max_starts).
  - A start that worked according to C(record), and does not now, has hung; it is restarted too.
  - Needs the lab's virtual environment as interpreter, and root.
options:
  unit:
    description: The router's systemd unit.
    type: str
    default: screamrouter.service
  url:
    description: The router's API, such as C(https://127.0.0.1:8443).
    type: str
    required: true
  max_starts:
    description: How many starts in a row may be lost to the race.
    type: int
    default: 5
  timeout_s:
    description: How long one start may take until the engine listens.
    type: float
    default: 60.0
  drain_s:
    description: How long a datagram may wait in the queue of a port that is read.
    type: float
    default: 5.0
  logs:
    description: The router's own log folder, if it writes one.
    type: path
  record:
    description: A file of JSON lines that gets one line for each start.
    type: path
author: [screamlab]
"""

EXAMPLES = """
- name: The router works
  router_ready:
    url: https://127.0.0.1:8443
    record: /var/lib/screamrouter/starts.jsonl
"""

RETURN = """
starts:
  description: How many starts were judged, the one found included.
  type: int
  returned: success
races:
  description: How many of them were lost to the start race.
  type: int
  returned: success
restarts:
  description: How often the unit was restarted, for the race or because it hung.
  type: int
  returned: success
seconds:
  description: Age of the process when its engine was found working.
  type: float
  returned: success
version:
  description: The release of ScreamRouter that runs, if its Python can tell.
  type: str
  returned: success
"""

import dataclasses  # noqa: E402
from pathlib import Path  # noqa: E402

from ansible.module_utils.basic import AnsibleModule, missing_required_lib  # noqa: E402

try:
    from screamlab.errors import ScreamlabError
    from screamlab.router.client import RouterClient
    from screamlab.router.readiness import check_ready, make_ready
    from screamlab.router.service import SystemdService
except ImportError:
    make_ready = None


def argument_spec() -> dict:
    """The module's options."""
    return {
        "unit": {"type": "str", "default": "screamrouter.service"},
        "url": {"type": "str", "required": True},
        "max_starts": {"type": "int", "default": 5},
        "timeout_s": {"type": "float", "default": 60.0},
        "drain_s": {"type": "float", "default": 5.0},
        "logs": {"type": "path"},
        "record": {"type": "path"},
    }


def main() -> None:
    """Judge the present start; restart after a race."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    if make_ready is None:
        module.fail_json(msg=missing_required_lib("screamlab"))
    asked = module.params
    paths = {key: Path(asked[key]) if asked[key] else None for key in ("logs", "record")}
    times = {key: asked[key] for key in ("timeout_s", "drain_s")}
    service = SystemdService(asked["unit"])
    try:
        with RouterClient(asked["url"], timeout_s=asked["drain_s"]) as client:
            if module.check_mode:
                done = check_ready(service, client, logs=paths["logs"], **times)
            else:
                starts = asked["max_starts"]
                done = make_ready(service, client, max_starts=starts, **paths, **times)
    except ScreamlabError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=done.restarts > 0, **dataclasses.asdict(done))


if __name__ == "__main__":
    main()
