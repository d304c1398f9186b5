#!/usr/bin/python
"""Ansible module: a report of Valgrind, read and grouped by stack."""

from __future__ import annotations

DOCUMENTATION = """
module: valgrind_report
short_description: Group a report of Valgrind by stack, and put it into a folder
description:
  - Reads what memcheck, helgrind or drd wrote as XML, as a stream of any length, or a profile of
    massif or DHAT. A report that is cut off yields what is whole.
  - Writes C(valgrind-TOOL.json) and, compressed, the report itself. Needs the lab's virtual
    environment as interpreter.
options:
  file:
    description: The tool's output.
    type: path
    required: true
  folder:
    description: Where the grouped report and the compressed one are to be.
    type: path
    required: true
  most_mib:
    description: A compressed report larger than this stays where it is.
    type: int
    default: 200
  ended_by:
    description: The signal that ended the process, for the record.
    type: str
    default: ""
author: [screamlab]
"""

EXAMPLES = """
- name: Read the report
  valgrind_report:
    file: /var/lib/screamlab/valgrind/memcheck.1234.xml
    folder: /var/lib/screamlab/runs/nightly
"""

RETURN = """
groups:
  description: How many stacks it tells of.
  type: int
  returned: success
lost_bytes:
  description: Bytes definitely and indirectly lost, by owner - engine, libraries, python, system.
  type: dict
  returned: success
truncated:
  description: Why the report is not whole; empty for one that is.
  type: str
  returned: success
files:
  description: What was written, or would be.
  type: list
  elements: str
  returned: success
"""

from pathlib import Path  # noqa: E402

from ansible.module_utils.basic import AnsibleModule, missing_required_lib  # noqa: E402

try:
    from screamlab.errors import ScreamlabError
    from screamlab.evidence.valgrind_keep import keep
    from screamlab.evidence.valgrind_report import LOST, read_report
    from screamlab.evidence.valgrind_stack import OWNERS, Objects
except ImportError:
    keep = None


def argument_spec() -> dict:
    """The module's options."""
    return {
        "file": {"type": "path", "required": True},
        "folder": {"type": "path", "required": True},
        "most_mib": {"type": "int", "default": 200},
        "ended_by": {"type": "str", "default": ""},
    }


def main() -> None:
    """Read, group, write."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    if keep is None:
        module.fail_json(msg=missing_required_lib("screamlab"))
    file, folder = Path(module.params["file"]), Path(module.params["folder"])
    try:
        report = read_report(file, Objects())
        report.ended_by = module.params["ended_by"]
        most = module.params["most_mib"] << 20
        kept = keep(report, file, folder, most_bytes=most, dry=module.check_mode)
    except ScreamlabError as error:
        module.fail_json(msg=str(error))
    lost = report.leaks(*LOST)
    module.exit_json(
        changed=bool(kept),
        groups=len(report.groups),
        lost_bytes={o: sum(g.bytes for g in lost if g.owner == o) for o in OWNERS},
        truncated=report.truncated,
        files=kept,
    )


if __name__ == "__main__":
    main()
