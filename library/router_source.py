#!/usr/bin/python
"""Ansible module: the router's source, and the engine that was built from it before."""

from __future__ import annotations

DOCUMENTATION = """
module: router_source
short_description: Find a built engine of a git reference in the cache, or else fetch its source
description:
  - Runs on the controller. Makes a git reference a commit, and looks whether its engine was built
    before in the same way for such a host. Only where it was not, the source is fetched.
  - In check mode it does the same, since what follows is told by it and no host is changed.
options:
  repository:
    description: A git repository, an address or a path on the controller.
    type: str
    required: true
  ref:
    description: A tag, a branch, or a full commit hash, which needs no network where it is built.
    type: str
    required: true
  submodules:
    description: Paths at or under which submodules are fetched, C(.) for all of them.
    type: list
    elements: str
    default: ['.']
  python:
    description: Version of the host's interpreter, such as C(3.11).
    type: str
    required: true
  machine:
    description: The host's hardware name, such as C(x86_64).
    type: str
    required: true
  packages:
    description: Debian packages that the build needs.
    type: list
    elements: str
    default: []
  python_packages:
    description: Python packages that the build needs and C(pyproject.toml) does not name.
    type: list
    elements: str
    default: []
  environment:
    description: Environment variables of the build.
    type: dict
    default: {}
  steps:
    description: Commands, each a list of words, that are run in the source before it is built.
    type: list
    elements: list
    default: []
  cflags:
    description: Flags of the C and C++ compilers.
    type: list
    elements: str
    default: []
  sanitizers:
    description: Sanitizers the engine is built with.
    type: list
    elements: str
    choices: [address, thread, undefined]
    default: []
  cache:
    description: Folder on the controller that keeps sources and engines.
    type: path
    required: true
author: [screamlab]
"""

EXAMPLES = """
- name: The source of a release
  router_source:
    repository: https://git.example.org/router.git
    ref: "0.3.75"
    python: "3.11"
    machine: x86_64
    cache: ~/.cache/screamlab/engine
  delegate_to: localhost
"""

RETURN = """
archive:
  description: Where the built engine is in the cache, or is to be.
  type: str
  returned: success
record:
  description: What the built engine tells of itself; empty where it is to be built.
  type: dict
  returned: success
source:
  description: A tar of the source.
  type: str
  returned: where it is to be built
requires:
  description: What the build needs according to its own C(pyproject.toml).
  type: list
  elements: str
  returned: where it is to be built
told:
  description: >-
    What is known before the build and belongs into the engine's record: C(repository), C(ref),
    C(commit), and the C(flags) of the compilers, those of the sanitizers included.
  type: dict
  returned: success
"""

from pathlib import Path  # noqa: E402

from ansible.module_utils.basic import AnsibleModule, missing_required_lib  # noqa: E402

try:
    from screamlab.errors import ScreamlabError
    from screamlab.router.recipe import Recipe, read_record
    from screamlab.router.source import fetch, public, resolve
except ImportError:
    fetch = None

WORDS = {"type": "list", "elements": "str", "default": []}


def argument_spec() -> dict:
    """The module's options."""
    return {
        "repository": {"type": "str", "required": True},
        "ref": {"type": "str", "required": True},
        "submodules": {**WORDS, "default": ["."]},
        "python": {"type": "str", "required": True},
        "machine": {"type": "str", "required": True},
        "packages": WORDS,
        "python_packages": WORDS,
        "environment": {"type": "dict", "default": {}},
        "steps": {"type": "list", "elements": "list", "default": []},
        "cflags": WORDS,
        "sanitizers": {**WORDS, "choices": ["address", "thread", "undefined"]},
        "cache": {"type": "path", "required": True},
    }


def main() -> None:
    """Resolve, look in the cache, fetch what is missing."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    if fetch is None:
        module.fail_json(msg=missing_required_lib("screamlab"))
    asked = dict(module.params)
    repository, ref, cache = asked.pop("repository"), asked.pop("ref"), Path(asked.pop("cache"))
    try:
        cache.mkdir(parents=True, exist_ok=True)
        recipe = Recipe(resolve(repository, ref), **asked)
        archive = cache / f"{recipe.key}.tar.gz"
        answer = {"archive": str(archive), "record": read_record(archive), "changed": False}
        if answer["record"] is None:
            source = fetch(repository, recipe.commit, recipe.submodules, cache)
            answer.update(source=str(source.archive), requires=source.requires, record={})
    except ScreamlabError as error:
        module.fail_json(msg=str(error))
    told = {"repository": public(repository), "ref": ref, "flags": recipe.flags}
    module.exit_json(told={**told, "commit": recipe.commit}, **answer)


if __name__ == "__main__":
    main()
