#!/usr/bin/python
"""Ansible module: the sources, sinks and routes of a router."""

from __future__ import annotations

DOCUMENTATION = """
module: router_topology
short_description: Make a ScreamRouter hold the lab's sources, sinks and routes
description:
  - Compares what the router has configured with what is wanted, over its HTTP API, and adds,
    changes and removes until both are the same.
  - Only things whose name begins with C(lab-) are looked at; names given here get that prefix.
    Of those, whatever is not given here is removed.
  - Ends when the router's engine runs every routed sink with all its inputs, not when the API has
    said yes.
  - Needs the lab's virtual environment as interpreter.
options:
  url:
    description: The router's API, such as C(https://127.0.0.1:8443).
    type: str
    required: true
  sources:
    description:
      - Who sends to the router, each with C(name) and C(address), or C(tag) where the router knows
        it by one; C(protocol) is for the reader.
    type: list
    elements: dict
    required: true
  sinks:
    description:
      - Whom the router sends to, each with C(name), C(protocol) (C(rtp) or C(scream)), C(codec)
        (C(l16) or C(opus)), C(address), C(port), and optionally C(rate_hz), C(bit_depth) and
        C(channels).
    type: list
    elements: dict
    required: true
  routes:
    description: Who is heard where, each with C(name), C(source) and C(sink).
    type: list
    elements: dict
    required: true
  timeout_s:
    description: How long the router may take for one call, and at the end to run it all.
    type: float
    default: 15.0
author: [screamlab]
"""

EXAMPLES = """
- name: One sender, heard at one receiver
  router_topology:
    url: https://127.0.0.1:8443
    sources:
      - {name: kitchen, address: 198.19.0.32}
    sinks:
      - {name: radio, protocol: rtp, codec: l16, address: 198.19.0.64, port: 41000}
    routes:
      - {name: kitchen-radio, source: kitchen, sink: radio}
"""

RETURN = """
changes:
  description: What was done, or would be, in order.
  type: list
  elements: str
  returned: always
"""

import json  # noqa: E402

from ansible.module_utils.basic import AnsibleModule, missing_required_lib  # noqa: E402

try:
    from screamlab.errors import ScreamlabError
    from screamlab.router import topology
    from screamlab.router.client import RouterClient
except ImportError:
    topology = None


def argument_spec() -> dict:
    """The module's options."""
    things = {"type": "list", "elements": "dict", "required": True}
    return {
        "url": {"type": "str", "required": True},
        **dict.fromkeys(("sources", "sinks", "routes"), things),
        "timeout_s": {"type": "float", "default": 15.0},
    }


def main() -> None:
    """Compare, change, and wait for the engine."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    if topology is None:
        module.fail_json(msg=missing_required_lib("screamlab"))
    timeout_s = module.params["timeout_s"]
    try:
        things = {kind: module.params[kind] for kind in topology.ADD_ORDER}
        asked = topology.parse_topology(things)
        with RouterClient(module.params["url"], timeout_s=timeout_s) as client:
            before = topology.observe(client)
            changes = topology.plan(before, asked.wanted())
            if not module.check_mode:
                topology.apply(client, changes)
                topology.wait_until_applied(client, asked.inputs_per_sink(), timeout_s=timeout_s)
    except ScreamlabError as error:
        module.fail_json(msg=str(error))
    states = {"before": before, "after": asked.wanted()}
    diff = {key: json.dumps(state, indent=1, sort_keys=True) for key, state in states.items()}
    module.exit_json(changed=bool(changes), changes=[str(change) for change in changes], diff=diff)


if __name__ == "__main__":
    main()
