#!/usr/bin/python
"""Ansible module: a host's Python packages, as one tar on the controller."""

from __future__ import annotations

DOCUMENTATION = """
module: python_site
short_description: Install Python packages for another interpreter into one tar
description:
  - Runs on the controller. Installs requirements, and all they need, for the named Python and
    machine, with the package of a checkout when asked to, and keeps them as one tar in a cache.
  - In check mode it does the same, since what follows is told by the tar and no host is changed.
options:
  requirements:
    description: Requirement specifiers (PEP 508).
    type: list
    elements: str
    default: []
  checkout:
    description: Root of a screamlab checkout whose package is added.
    type: path
  constraints:
    description: A constraints file that pins versions.
    type: path
  overlay:
    description: A tar whose files replace those of the same name.
    type: path
  python:
    description: Version of the interpreter the packages are for, such as C(3.11).
    type: str
    required: true
  machine:
    description: Machine the packages are for, such as C(x86_64).
    type: str
    default: x86_64
  cache:
    description: Folder the tars are kept in.
    type: path
    required: true
author: [screamlab]
"""

EXAMPLES = """
- name: The agent's packages for a host with Python 3.11
  python_site:
    checkout: "{{ playbook_dir }}/.."
    python: "3.11"
    cache: ~/.cache/screamlab/python
  delegate_to: localhost
"""

RETURN = """
archive:
  description: Path of the tar on the controller.
  type: str
  returned: always
digest:
  description: Names the content; changes when anything in the tar may.
  type: str
  returned: always
"""

from pathlib import Path  # noqa: E402

from ansible.module_utils.basic import AnsibleModule, missing_required_lib  # noqa: E402

try:
    from screamlab.errors import ScreamlabError
    from screamlab.python_site import Target, python_site
except ImportError:
    python_site = None


def argument_spec() -> dict:
    """The module's options."""
    return {
        "requirements": {"type": "list", "elements": "str", "default": []},
        "checkout": {"type": "path"},
        "constraints": {"type": "path"},
        "overlay": {"type": "path"},
        "python": {"type": "str", "required": True},
        "machine": {"type": "str", "default": "x86_64"},
        "cache": {"type": "path", "required": True},
    }


def main() -> None:
    """Look in the cache, install what is missing."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    if python_site is None:
        module.fail_json(msg=missing_required_lib("screamlab"))
    asked = module.params
    try:
        site = python_site(
            asked["requirements"],
            Target(asked["python"], asked["machine"]),
            cache=Path(asked["cache"]),
            constraints=Path(asked["constraints"]) if asked["constraints"] else None,
            checkout=Path(asked["checkout"]) if asked["checkout"] else None,
            overlay=Path(asked["overlay"]) if asked["overlay"] else None,
        )
    except ScreamlabError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=site.created, archive=str(site.archive), digest=site.digest)


if __name__ == "__main__":
    main()
