#!/usr/bin/python
"""Ansible module: a virtual environment made of one tar of installed packages.

Runs on the host's own Python, before the lab's environment is there: standard library only.
"""

from __future__ import annotations

DOCUMENTATION = """
module: python_env
short_description: Make a virtual environment hold exactly the packages of a tar
description:
  - The tar is what C(python_site) made for this host's interpreter. An environment of another
    content is replaced whole; one of this content is left alone.
options:
  path:
    description: The virtual environment.
    type: path
    required: true
  archive:
    description: The tar, on the host.
    type: path
    required: true
  digest:
    description: Names the tar's content.
    type: str
    required: true
author: [screamlab]
"""

EXAMPLES = """
- name: The agent's environment
  python_env:
    path: /opt/screamlab/venv
    archive: /opt/screamlab/venv.tar.gz
    digest: 0123456789abcdef
"""

RETURN = """
python:
  description: The environment's interpreter.
  type: str
  returned: always
"""

import shutil  # noqa: E402
import sysconfig  # noqa: E402
import venv  # noqa: E402
from pathlib import Path  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402


def argument_spec() -> dict:
    """The module's options."""
    return {
        "path": {"type": "path", "required": True},
        "archive": {"type": "path", "required": True},
        "digest": {"type": "str", "required": True},
    }


def make(path: Path, archive: Path, marker: Path) -> None:
    """Replace the environment; the marker comes last, so a half-made one is made again."""
    venv.create(path, clear=True, with_pip=False, symlinks=True)
    site = sysconfig.get_path("purelib", "venv", {"base": str(path)})
    shutil.unpack_archive(archive, site, "gztar")
    marker.touch()


def main() -> None:
    """Compare, then make."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    path = Path(module.params["path"])
    marker = path / f"content-{module.params['digest']}"
    changed = not marker.exists()
    if changed and not module.check_mode:
        try:
            make(path, Path(module.params["archive"]), marker)
        except (OSError, EOFError, shutil.ReadError) as error:
            module.fail_json(msg=f"{path}: the environment could not be made: {error}")
    module.exit_json(changed=changed, python=str(path / "bin" / "python"))


if __name__ == "__main__":
    main()
