"""Which control group hierarchies a host's systemd would manage."""

from __future__ import annotations

from pathlib import Path

from screamlab.local_lab.cgroup import Group, Hierarchy, parse_hierarchies
from screamlab.paths import CHECKOUT

DATA = CHECKOUT / "lab_tests" / "data" / "local_lab"
V2 = "29 22 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"


def test_v1_with_v2_beside_it_has_two() -> None:
    found = parse_hierarchies((DATA / "mountinfo").read_text(), (DATA / "cgroup").read_text())
    assert found == [
        Hierarchy(Path("/sys/fs/cgroup/systemd"), Path("/sys/fs/cgroup/systemd")),
        Hierarchy(Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup/unified")),
    ]


def test_v2_alone_has_one() -> None:
    own = "0::/user.slice/session-1.scope\n"
    mount = Path("/sys/fs/cgroup")
    assert parse_hierarchies(V2, own) == [Hierarchy(mount, mount / "user.slice/session-1.scope")]


def test_a_mount_of_a_part_counts_from_there() -> None:
    part = V2.replace(" / /sys", " /docker/abc /sys")
    mount = Path("/sys/fs/cgroup")
    assert parse_hierarchies(part, "0::/docker/abc/x\n") == [Hierarchy(mount, mount / "x")]


def test_controllers_alone_are_nothing_for_systemd() -> None:
    line = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
    assert parse_hierarchies(line, "1:cpu:/\n") == []


def test_processes_of_a_group_are_read_with_those_below_it(tmp_path: Path) -> None:
    below = tmp_path / "host" / "system.slice"
    below.mkdir(parents=True)
    (tmp_path / "host" / "cgroup.procs").write_text("7\n8\n")
    (below / "cgroup.procs").write_text("8\n9\n")
    assert Group((tmp_path,)).child("host").pids() == {7, 8, 9}
