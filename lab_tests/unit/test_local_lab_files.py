"""The files that make a host differ from the machine it is an overlay of."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from screamlab.local_lab import disk
from screamlab.local_lab.files import Accounts, File, Identity, account_files, free_id, host_files
from screamlab.local_lab.model import Host, Lab

HOSTS = (
    Host("router1", "198.18.0.10/24", "198.19.0.10/24"),
    Host("client1", "198.18.0.11/24", "198.19.0.11/24"),
)
WAN = Host("wan", "198.18.0.2/24", "198.19.0.1/24", "uml")
ACCOUNTS = Accounts(
    passwd="root:x:0:0:root:/root:/bin/bash\ntaken:x:1900:100::/:/bin/sh\n",
    shadow="root:*:1:0:99999:7:::\ntaken:!:1:0:99999:7:::\n",
    group="root:x:0:\nalso:x:1901:\n",
)
IDENTITY = Identity(HOSTS[1], "f" * 32, "labadmin", "ssh-ed25519 AAAA\n", "PRIVATE\n")


def by_path(*more: Host) -> dict[str, File]:
    lab = Lab("lab", 0, (*HOSTS, *more))
    return {file.path: file for file in host_files(IDENTITY, lab, ACCOUNTS)}


def test_an_id_that_neither_a_user_nor_a_group_has() -> None:
    assert free_id(ACCOUNTS) == 1902


def test_the_user_is_added_and_the_machines_accounts_stay() -> None:
    files = {file.path: file for file in account_files("labadmin", 1902, ACCOUNTS)}
    assert files["/etc/passwd"].content == (
        ACCOUNTS.passwd + "labadmin:x:1902:1902::/home/labadmin:/bin/bash\n"
    )
    assert files["/etc/shadow"].mode == 0o600


def test_an_account_of_the_same_name_is_replaced() -> None:
    passwd = account_files("taken", 1902, ACCOUNTS)[0].content
    assert [line for line in passwd.splitlines() if line.startswith("taken:")] == [
        "taken:x:1902:1902::/home/taken:/bin/bash"
    ]


def test_names_are_data_addresses() -> None:
    table = by_path()["/etc/hosts"].content.splitlines()
    assert table[-3:] == ["198.19.0.1 wan", "198.19.0.10 router1", "198.19.0.11 client1"]


def test_a_host_has_the_same_files_with_and_without_a_host_in_the_middle() -> None:
    assert by_path(WAN) == by_path()


def test_private_files_are_private() -> None:
    files = by_path()
    assert files["/etc/ssh/ssh_host_ed25519_key"].mode == 0o600
    assert files["/home/labadmin/.ssh/authorized_keys"].owner == (1902, 1902)
    assert files["/etc/sudoers.d/labadmin"].mode == 0o440


def test_files_are_written_with_their_mode_into_folders_like_the_machines(tmp_path: Path) -> None:
    disk.write(tmp_path, File("/etc/screamlab-test/key", "secret", 0o600, _owner(tmp_path)))
    disk.write(tmp_path, File("/etc/unit", target="/dev/null"))
    written = tmp_path / "etc/screamlab-test/key"
    assert written.read_text() == "secret"
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert (tmp_path / "etc").stat().st_mode == Path("/etc").stat().st_mode
    assert (tmp_path / "etc/unit").readlink() == Path("/dev/null")


def test_a_file_is_never_written_over_another(tmp_path: Path) -> None:
    disk.write(tmp_path, File("/etc/x", "one", owner=_owner(tmp_path)))
    with pytest.raises(FileExistsError):
        disk.write(tmp_path, File("/etc/x", "two", owner=_owner(tmp_path)))


def _owner(path: Path) -> tuple[int, int]:
    return path.stat().st_uid, path.stat().st_gid
