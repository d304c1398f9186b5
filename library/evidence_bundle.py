#!/usr/bin/python
"""Ansible module: the evidence bundle of a run."""

from __future__ import annotations

DOCUMENTATION = """
module: evidence_bundle
short_description: Build a run's bundle from what was collected of its hosts
description:
  - Runs on the controller. Makes C(events.jsonl), C(series.parquet), C(collection.json) and
    C(manifest.json) in the run's folder. Broken lines and missing hosts are told, never fatal.
options:
  run_dir:
    description: The run's folder.
    type: path
    required: true
  failures:
    description: Why a host could not be collected, by host; empty for one that could.
    type: dict
    default: {}
author: [screamlab]
"""

EXAMPLES = """
- name: Build the bundle
  evidence_bundle:
    run_dir: runs/nightly
    failures:
      client1: ""
      client2: "Failed to connect to the host via ssh"
  delegate_to: localhost
"""

RETURN = """
events:
  description: How many events the timeline has.
  type: int
  returned: success
values:
  description: How many values the series have.
  type: int
  returned: success
broken_lines:
  description: How many lines of a file could not be read, by file.
  type: dict
  returned: success
missing_hosts:
  description: Why there is nothing of a host, by host.
  type: dict
  returned: success
"""

from dataclasses import asdict  # noqa: E402
from pathlib import Path  # noqa: E402

from ansible.module_utils.basic import AnsibleModule, missing_required_lib  # noqa: E402

try:
    from screamlab.errors import ScreamlabError
    from screamlab.evidence.build import build_bundle
except ImportError:
    build_bundle = None


def argument_spec() -> dict:
    """The module's options."""
    return {
        "run_dir": {"type": "path", "required": True},
        "failures": {"type": "dict", "default": {}},
    }


def main() -> None:
    """Build the bundle."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    if build_bundle is None:
        module.fail_json(msg=missing_required_lib("screamlab and duckdb"))
    outcomes = {host: reason or None for host, reason in module.params["failures"].items()}
    try:
        built = build_bundle(Path(module.params["run_dir"]), outcomes, dry=module.check_mode)
    except ScreamlabError as error:
        module.fail_json(msg=str(error))
    diff = {"before": "", "after": "built anew\n" if built.changed else ""}
    module.exit_json(diff=diff, **asdict(built))


if __name__ == "__main__":
    main()
