#!/usr/bin/python
"""Ansible module: a fact that is learnt of a run while it is carried out."""

from __future__ import annotations

DOCUMENTATION = """
module: run_note
short_description: Write facts about a run into its folder
description:
  - Runs on the controller. Sets keys of C(run.json), which the judge reads.
options:
  folder:
    description: The run folder.
    type: path
    required: true
  facts:
    description: Keys and their values.
    type: dict
    required: true
author: [screamlab]
"""

EXAMPLES = """
- name: Note which hosts are clean again
  run_note:
    folder: runs/20260101-120000-tc-stress-004-quick
    facts: {clean: {client1: [], client2: []}}
"""

RETURN = """
facts:
  description: What was written.
  type: dict
  returned: always
"""

from pathlib import Path  # noqa: E402

from ansible.module_utils.basic import AnsibleModule, missing_required_lib  # noqa: E402

try:
    from screamlab.errors import ScreamlabError
    from screamlab.run.record import note, read_record
except ImportError:
    note = None


def argument_spec() -> dict:
    """The module's options."""
    return {
        "folder": {"type": "path", "required": True},
        "facts": {"type": "dict", "required": True},
    }


def main() -> None:
    """Compare, then write."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    if note is None:
        module.fail_json(msg=missing_required_lib("screamlab"))
    folder, facts = Path(module.params["folder"]), module.params["facts"]
    try:
        known = read_record(folder)
        changed = any(known.get(key) != value for key, value in facts.items())
        if changed and not module.check_mode:
            note(folder, **facts)
    except ScreamlabError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed, facts=facts)


if __name__ == "__main__":
    main()
