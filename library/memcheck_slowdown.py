#!/usr/bin/python
"""Ansible module: how much slower a tool makes a program on this host."""

from __future__ import annotations

DOCUMENTATION = """
module: memcheck_slowdown
short_description: Measure how much slower a program is under a tool such as Valgrind's
description:
  - Does the same small work in Python with the tool and without it, and compares the processor
    time. Takes seconds without the tool and up to a minute with it. Changes nothing.
  - Needs the lab's virtual environment as interpreter.
options:
  wrapper:
    description: The tool's command line, before that of the program.
    type: list
    elements: str
    required: true
author: [screamlab]
"""

EXAMPLES = """
- name: Measure
  memcheck_slowdown:
    wrapper: [/usr/bin/valgrind, --tool=memcheck, --log-file=/dev/null]
"""

RETURN = """
factor:
  description: How many times longer the work takes with the tool.
  type: float
  returned: success
plain_s:
  description: Processor time without the tool.
  type: float
  returned: success
tool_s:
  description: Processor time with it.
  type: float
  returned: success
"""

from dataclasses import asdict  # noqa: E402

from ansible.module_utils.basic import AnsibleModule, missing_required_lib  # noqa: E402

try:
    from screamlab.errors import ScreamlabError
    from screamlab.observe.slowdown import measure_slowdown
except ImportError:
    measure_slowdown = None


def argument_spec() -> dict:
    """The module's options."""
    return {"wrapper": {"type": "list", "elements": "str", "required": True}}


def main() -> None:
    """Measure."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    if measure_slowdown is None:
        module.fail_json(msg=missing_required_lib("screamlab"))
    try:
        found = measure_slowdown(module.params["wrapper"])
    except ScreamlabError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, factor=found.factor, **asdict(found))


if __name__ == "__main__":
    main()
