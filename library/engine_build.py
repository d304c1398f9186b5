#!/usr/bin/python
"""Ansible module: the router's engine, built on the host it is for."""

from __future__ import annotations

DOCUMENTATION = """
module: engine_build
short_description: Build a Python package's extension modules with given flags
description:
  - Builds a wheel of a source tar through the package's own build backend, and keeps its extension
    modules and libraries, with a record of what they are.
  - Needs the lab's virtual environment as interpreter.
options:
  folder:
    description: Where to build; what an earlier build left there goes.
    type: path
    required: true
  source:
    description: A tar of the source, on the host.
    type: path
    required: true
  python:
    description: An interpreter that has the C(build) package and all that the build needs.
    type: path
    required: true
  flags:
    description: Flags of the C and C++ compilers.
    type: list
    elements: str
    default: []
  environment:
    description: Environment variables of the build, beyond the flags and the number of jobs.
    type: dict
    default: {}
  steps:
    description: Commands, each a list of words, that are run in the source before it is built.
    type: list
    elements: list
    default: []
  jobs:
    description: Compilers side by side; 0 for as many as the host's memory and cores allow.
    type: int
    default: 0
  told:
    description: What else is to stand in the record.
    type: dict
    default: {}
author: [screamlab]
"""

EXAMPLES = """
- name: Build
  engine_build:
    folder: /var/tmp/screamlab-build
    source: /var/tmp/screamlab-build/source.tar.gz
    python: /var/tmp/screamlab-build/venv/bin/python
    flags: [-g, -O1]
"""

RETURN = """
archive:
  description: A tar of extension modules and libraries as they lie in site-packages.
  type: str
  returned: when built
record:
  description: >-
    What was told, and C(version), C(build_ids) by file, C(environment) the engine needs to be
    loaded, C(jobs) and C(seconds).
  type: dict
  returned: when built
"""

from pathlib import Path  # noqa: E402

from ansible.module_utils.basic import AnsibleModule, missing_required_lib  # noqa: E402

try:
    from screamlab.errors import ScreamlabError
    from screamlab.router.engine_build import Order, build_engine
except ImportError:
    build_engine = None


def argument_spec() -> dict:
    """The module's options."""
    return {
        "folder": {"type": "path", "required": True},
        "source": {"type": "path", "required": True},
        "python": {"type": "path", "required": True},
        "flags": {"type": "list", "elements": "str", "default": []},
        "environment": {"type": "dict", "default": {}},
        "steps": {"type": "list", "elements": "list", "default": []},
        "jobs": {"type": "int", "default": 0},
        "told": {"type": "dict", "default": {}},
    }


def main() -> None:
    """Build."""
    module = AnsibleModule(argument_spec=argument_spec())
    if build_engine is None:
        module.fail_json(msg=missing_required_lib("screamlab"))
    asked = dict(module.params)
    paths = {name: Path(asked.pop(name)) for name in ("folder", "source", "python")}
    try:
        archive, record = build_engine(Order(**paths, **asked))
    except ScreamlabError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=True, archive=str(archive), record=record)


if __name__ == "__main__":
    main()
