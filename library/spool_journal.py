#!/usr/bin/python
"""Ansible module: the journal of a run's time, in the run's spool."""

from __future__ import annotations

DOCUMENTATION = """
module: spool_journal
short_description: Export the journal of all units into a run's spool
description:
  - Adds to C(journal.export.gz) in the spool every journal entry between C(since) and C(until)
    that is not there yet.
  - Needs the lab's virtual environment as interpreter, and root to see all units.
options:
  path:
    description: The run's spool on the host.
    type: path
    required: true
  since:
    description: Unix time of the first entry wanted.
    type: float
    required: true
  until:
    description: Unix time of the last entry wanted; now when absent.
    type: float
author: [screamlab]
"""

EXAMPLES = """
- name: Export the journal of the last hour
  spool_journal:
    path: /var/lib/screamlab/runs/20260101-120000-tc-stress-001-quick
    since: "{{ now().timestamp() - 3600 }}"
  become: true
"""

RETURN = """
new_bytes:
  description: How many bytes of entries were added, before compression.
  type: int
  returned: success, not in check mode
"""

import os  # noqa: E402
from pathlib import Path  # noqa: E402

from ansible.module_utils.basic import AnsibleModule, missing_required_lib  # noqa: E402

try:
    from screamlab.errors import ScreamlabError
    from screamlab.evidence.export import export_journal, has_news
except ImportError:
    export_journal = None


def argument_spec() -> dict:
    """The module's options."""
    return {
        "path": {"type": "path", "required": True},
        "since": {"type": "float", "required": True},
        "until": {"type": "float"},
    }


def main() -> None:
    """Export what is new."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    if export_journal is None:
        module.fail_json(msg=missing_required_lib("screamlab"))
    spool = Path(module.params["path"])
    window = (module.params["since"], module.params["until"])
    if module.check_mode:
        module.exit_json(changed=has_news(spool, *window))
    os.nice(10)
    try:
        new_bytes = export_journal(spool, *window)
    except ScreamlabError as error:
        module.fail_json(msg=str(error))
    diff = {"before": "", "after": f"{new_bytes} bytes of journal entries\n" if new_bytes else ""}
    module.exit_json(changed=new_bytes > 0, new_bytes=new_bytes, diff=diff)


if __name__ == "__main__":
    main()
