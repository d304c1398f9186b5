"""The one light channel from a running host to the display: its spool, followed over SSH.

Nothing depends on it. A host that cannot be followed is named in the display and left alone.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import paramiko

from screamlab.inventory import Ssh
from screamlab.run.progress import Progress

RETRY_S = 5.0
TIMEOUT_S = 10.0
FOLLOW = "/opt/screamlab/venv/bin/python -m screamlab follow /var/lib/screamlab/runs/{run_id}"


def follow_hosts(record: Mapping[str, Any], progress: Progress) -> None:
    """Start one thread per host that feeds `progress` until it is over."""
    for name, host in record["hosts"].items():
        ssh = Ssh.model_validate(host["ssh"])
        arguments = (name, ssh, record["run_id"], progress)
        threading.Thread(target=_follow, args=arguments, daemon=True).start()


def connect(ssh: Ssh) -> paramiko.SSHClient:
    """An SSH connection that trusts the host keys Ansible trusts, and no others."""
    client = paramiko.SSHClient()
    known = known_hosts_file(ssh.common_args)
    if known:
        client.load_host_keys(str(known))
    else:
        client.load_system_host_keys()
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    client.connect(
        ssh.address,
        port=ssh.port,
        username=ssh.user,
        key_filename=ssh.key_file,
        timeout=TIMEOUT_S,
    )
    return client


def known_hosts_file(common_args: str) -> Path | None:
    """The UserKnownHostsFile among Ansible's SSH arguments, if one is set."""
    found = re.search(r"UserKnownHostsFile[= ]\"?([^\s\"']+)", common_args)
    return Path(found[1]).expanduser() if found else None


def _follow(name: str, ssh: Ssh, run_id: str, progress: Progress) -> None:
    seen = 0
    while not progress.over.is_set():
        try:
            with connect(ssh) as client:
                _, lines, _ = client.exec_command(FOLLOW.format(run_id=run_id))
                progress.lost_hosts.discard(name)
                for number, line in enumerate(lines):
                    if number >= seen:
                        progress.feed(json.loads(line))
                        seen = number + 1
                if lines.channel.recv_exit_status() == 0:
                    return
        except (OSError, EOFError, ValueError, paramiko.SSHException):
            progress.lost_hosts.add(name)
        progress.over.wait(RETRY_S)
