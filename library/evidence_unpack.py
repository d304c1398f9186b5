#!/usr/bin/python
"""Ansible module: a host's evidence in a run's folder on the controller."""

from __future__ import annotations

DOCUMENTATION = """
module: evidence_unpack
short_description: Unpack a host's archive into the run's folder
description:
  - Runs on the controller. Checks the archive's checksum and unpacks it into the host's folder.
    Nothing outside that folder is written, and no evidence is replaced by less of it.
options:
  archive:
    description: The archive that was fetched.
    type: path
    required: true
  sha256:
    description: The checksum it had on the host.
    type: str
    required: true
  host_dir:
    description: The host's folder, C(runs/<run-id>/hosts/<host>).
    type: path
    required: true
author: [screamlab]
"""

EXAMPLES = """
- name: Unpack
  evidence_unpack:
    archive: runs/nightly/.collect/router1.tar.gz
    sha256: "{{ packed.sha256 }}"
    host_dir: runs/nightly/hosts/router1
  delegate_to: localhost
"""

RETURN = """
files:
  description: Files that were new or have changed.
  type: list
  elements: str
  returned: success
kept:
  description: Files that were kept because the archive had less of them.
  type: list
  elements: str
  returned: success
"""

from pathlib import Path  # noqa: E402

from ansible.module_utils.basic import AnsibleModule, missing_required_lib  # noqa: E402

try:
    from screamlab.errors import ScreamlabError
    from screamlab.evidence.unpack import unpack
except ImportError:
    unpack = None


def argument_spec() -> dict:
    """The module's options."""
    return {
        "archive": {"type": "path", "required": True},
        "sha256": {"type": "str", "required": True},
        "host_dir": {"type": "path", "required": True},
    }


def main() -> None:
    """Unpack what is new."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    if unpack is None:
        module.fail_json(msg=missing_required_lib("screamlab"))
    try:
        unpacked = unpack(
            Path(module.params["archive"]),
            Path(module.params["host_dir"]),
            sha256=module.params["sha256"],
            dry=module.check_mode,
        )
    except ScreamlabError as error:
        module.fail_json(msg=str(error))
    after = "".join(f"{name}\n" for name in unpacked.changed)
    module.exit_json(
        changed=bool(unpacked.changed),
        files=unpacked.changed,
        kept=unpacked.kept,
        diff={"before": "", "after": after},
    )


if __name__ == "__main__":
    main()
