#!/usr/bin/python
"""Ansible module: the archive of a run's spool on a host."""

from __future__ import annotations

DOCUMENTATION = """
module: spool_archive
short_description: Pack a run's spool into an archive, or remove what has been collected
description:
  - Packs the spool and further files into a gzip'd tar that one user may read. A running agent is
    not disturbed; what it writes meanwhile goes into the next archive.
  - With C(state=purged) removes the spool and its archive, if the archive is the one with the
    given checksum and holds all that the spool holds now. With C(state=trimmed) removes from the
    spool the files that are complete and in that archive; the rest of the run goes on as it was.
  - Needs the lab's virtual environment as interpreter.
options:
  path:
    description: The run's spool on the host.
    type: path
    required: true
  archive:
    description: Where the archive is to be.
    type: path
    required: true
  extra:
    description: Further files and folders; they go under C(files/) with their whole path.
    type: list
    elements: path
    default: []
  owner_id:
    description: User id of the archive's owner, the only one who may read it.
    type: int
  state:
    description:
      - Whether the archive is to be there, or the complete files, or spool and archive to be gone.
    type: str
    choices: [present, trimmed, purged]
    default: present
  sha256:
    description: Checksum of the archive that arrived elsewhere.
    type: str
author: [screamlab]
"""

EXAMPLES = """
- name: Pack the spool
  spool_archive:
    path: /var/lib/screamlab/runs/nightly
    archive: /var/lib/screamlab/archives/nightly.tar.gz
    extra: [/var/lib/screamrouter/logs]
  become: true
  register: packed

- name: Remove what has been collected
  spool_archive:
    path: /var/lib/screamlab/runs/nightly
    archive: /var/lib/screamlab/archives/nightly.tar.gz
    extra: [/var/lib/screamrouter/logs]
    state: purged
    sha256: "{{ packed.sha256 }}"
  become: true
"""

RETURN = """
archive:
  description: Path of the archive.
  type: str
  returned: state is present
archive_bytes:
  description: Size of the archive.
  type: int
  returned: state is present, not in check mode when there is something to pack
sha256:
  description: SHA-256 of the archive.
  type: str
  returned: state is present, not in check mode when there is something to pack
files:
  description: How many files it holds.
  type: int
  returned: state is present, not in check mode when there is something to pack
content_bytes:
  description: Their size, before compression.
  type: int
  returned: state is present, not in check mode when there is something to pack
trimmed:
  description: The files that were removed.
  type: list
  elements: str
  returned: state is trimmed
missing:
  description: Extra paths that do not exist.
  type: list
  elements: str
  returned: state is present, not in check mode when there is something to pack
"""

import os  # noqa: E402
from dataclasses import asdict  # noqa: E402
from pathlib import Path  # noqa: E402

from ansible.module_utils.basic import AnsibleModule, missing_required_lib  # noqa: E402

try:
    from screamlab.errors import InfraError, ScreamlabError
    from screamlab.evidence.pack import is_packed, pack, remove_packed, trim
except ImportError:
    pack = None


def argument_spec() -> dict:
    """The module's options."""
    return {
        "path": {"type": "path", "required": True},
        "archive": {"type": "path", "required": True},
        "extra": {"type": "list", "elements": "path", "default": []},
        "owner_id": {"type": "int"},
        "state": {"type": "str", "choices": ["present", "trimmed", "purged"], "default": "present"},
        "sha256": {"type": "str"},
    }


def main() -> None:
    """Pack, trim or purge."""
    module = AnsibleModule(
        argument_spec=argument_spec(),
        required_if=[("state", state, ["sha256"]) for state in ("trimmed", "purged")],
        supports_check_mode=True,
    )
    if pack is None:
        module.fail_json(msg=missing_required_lib("screamlab"))
    act = {"present": present, "trimmed": trimmed, "purged": purged}
    try:
        module.exit_json(**act[module.params["state"]](module))
    except ScreamlabError as error:
        module.fail_json(msg=str(error))


def present(module: AnsibleModule) -> dict:
    """Pack unless the archive holds all there is."""
    spool, extra, archive = _paths(module)
    packed = is_packed(spool, extra, archive)
    if packed is not None:
        return {"changed": False, **asdict(packed)}
    if not spool.is_dir():
        raise InfraError(f"{spool}: no such spool")
    before = f"{archive}\n" if archive.exists() else ""
    diff = {"before": before, "after": f"{archive}, packed anew\n"}
    if module.check_mode:
        return {"changed": True, "archive": str(archive), "diff": diff}
    os.nice(10)
    packed = pack(spool, extra, archive, owner=module.params["owner_id"])
    return {"changed": True, "diff": diff, **asdict(packed)}


def trimmed(module: AnsibleModule) -> dict:
    """Remove the complete files that have arrived."""
    spool, _, archive = _paths(module)
    names = trim(spool, archive, module.params["sha256"], dry=module.check_mode)
    before = "".join(f"{name}\n" for name in names)
    return {"changed": bool(names), "trimmed": names, "diff": {"before": before, "after": ""}}


def purged(module: AnsibleModule) -> dict:
    """Remove the spool and its archive; a spool that is gone already is no change."""
    spool, extra, archive = _paths(module)
    if not spool.exists():
        return {"changed": False}
    remove_packed(spool, extra, archive, module.params["sha256"], dry=module.check_mode)
    return {"changed": True, "diff": {"before": f"{spool}\n{archive}\n", "after": ""}}


def _paths(module: AnsibleModule) -> tuple[Path, list[Path], Path]:
    extra = [Path(path) for path in module.params["extra"]]
    return Path(module.params["path"]), extra, Path(module.params["archive"])


if __name__ == "__main__":
    main()
