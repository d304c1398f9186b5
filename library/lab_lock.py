#!/usr/bin/python
"""Ansible module: who has this host for a run, so that two never work on it at once."""

from __future__ import annotations

DOCUMENTATION = """
module: lab_lock
short_description: Take or give back a host of the lab
description:
  - Runs on the host with its own Python, before anything of the lab is installed there. The lock
    is a file that outlives a reboot, as a run does.
  - A lock is broken by itself where its holder is gone. That is when its time is over, or when
    O(replaces) names it because the controller has seen its process gone; and in both cases only
    while no agent of its run is at work on the host. For as long as one is, it is not given back.
options:
  state:
    description: Whether the holder is to have the host.
    type: str
    choices: [held, free]
    default: held
  holder:
    description:
      - Who takes it, as the filter C(lab_holder) tells. The same C(token) may take it again, and
        alone gives it back; C(run_id) names the run whose agent shows it to be at work.
    type: dict
    required: true
  for_s:
    description: For how long at most, in seconds from now.
    type: float
    default: 3600
  replaces:
    description: Token of a holder that is known to be gone.
    type: str
  path:
    description: The lock.
    type: path
    default: /var/lib/screamlab/lab.lock
author: [screamlab]
"""

EXAMPLES = """
- name: Take the host
  lab_lock:
    holder: "{{ run_id | lab_holder }}"
    for_s: 5400
  become: true
"""

RETURN = """
held:
  description: Whether the holder has the host now.
  type: bool
  returned: always
holder:
  description: Who has it, if anybody.
  type: dict
  returned: always
told:
  description: Who has it, since when, for what, and for how long, in words.
  type: str
  returned: always
"""

import fcntl  # noqa: E402
import json  # noqa: E402
import subprocess  # noqa: E402
import time  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from contextlib import contextmanager  # noqa: E402
from pathlib import Path  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402


def argument_spec() -> dict:
    """The module's options."""
    return {
        "state": {"type": "str", "choices": ["held", "free"], "default": "held"},
        "holder": {"type": "dict", "required": True},
        "for_s": {"type": "float", "default": 3600},
        "replaces": {"type": "str", "no_log": False},
        "path": {"type": "path", "default": "/var/lib/screamlab/lab.lock"},
    }


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Nobody else looks at the lock or changes it within the block."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".guard").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield


def read(path: Path) -> dict | None:
    """The holder; a lock that is not one of ours is nobody's."""
    try:
        found = json.loads(path.read_text())
        return {**found, "since": float(found["since"]), "until": float(found["until"])}
    except (OSError, ValueError, TypeError, KeyError):
        return None


def busy(holder: dict | None) -> bool:
    """Whether the agent of the holder's run is at work on this host."""
    run_id = (holder or {}).get("run_id")
    if not run_id:
        return False
    unit = f"screamlab-{run_id}.service"
    state = subprocess.run(["systemctl", "is-active", unit], capture_output=True, text=True)
    return state.stdout.strip() in {"active", "activating", "deactivating"}


def may_take(found: dict | None, token: str, replaces: str | None, now: float) -> bool:
    """Whether the lock is free for `token`: its own already, nobody's, or its holder's no more."""
    if found is None or found.get("token") == token:
        return True
    gone = found.get("token") == replaces or found["until"] < now
    return gone and not busy(found)


def told(holder: dict | None) -> str:
    """Who has the host, in words."""
    if holder is None:
        return "nobody"
    who = f"{holder.get('user', '?')} on {holder.get('controller', '?')}"
    run_id = holder.get("run_id")
    what = f"run {run_id}" if run_id else "work by hand"
    length = "whose agent is at work" if busy(holder) else f"until {when(holder['until'])} at most"
    return f"{who} since {when(holder['since'])} for {what}, {length}"


def when(unix_s: float) -> str:
    """A moment on the host's clock."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(unix_s))


def main() -> None:
    """Look at the lock, change it where it may be, and tell who has it."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    asked = module.params
    path, me, now = Path(asked["path"]), asked["holder"], time.time()
    if not me.get("token"):
        module.fail_json(msg="holder: a token is needed")
    with alone(path):
        found = read(path)
        mine = found is not None and found.get("token") == me["token"]
        if asked["state"] == "free":
            free = mine and not busy(found)
            if free and not module.check_mode:
                path.unlink()
            left = None if free else found
            module.exit_json(changed=free, held=mine and not free, holder=left, told=told(left))
        if not may_take(found, me["token"], asked["replaces"], now):
            module.exit_json(changed=False, held=False, holder=found, told=told(found))
        holder = {**me, "since": found["since"] if mine else now, "until": now + asked["for_s"]}
        if not module.check_mode:
            draft = path.with_suffix(".draft")
            draft.write_text(json.dumps(holder))
            draft.replace(path)
        # To have it for longer is no change of who has it.
        module.exit_json(changed=not mine, held=True, holder=holder, told=told(holder))


if __name__ == "__main__":
    main()
