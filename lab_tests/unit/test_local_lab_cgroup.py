"""Which control group hierarchies a host's systemd would manage."""

from __future__ import annotations

from pathlib import Path

import pytest

from screamlab.local_lab.cgroup import CPU, SYSTEMD, V2, Group, Hierarchy, parse_hierarchies
from screamlab.paths import CHECKOUT

DATA = CHECKOUT / "lab_tests" / "data" / "local_lab"
V2_MOUNT = "29 22 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"


def test_v1_with_v2_beside_it_has_both_and_the_processors() -> None:
    found = parse_hierarchies((DATA / "mountinfo").read_text(), (DATA / "cgroup").read_text())
    mount = Path("/sys/fs/cgroup")
    assert found == {
        CPU: Hierarchy(mount / "cpu", mount / "cpu"),
        SYSTEMD: Hierarchy(mount / "systemd", mount / "systemd"),
        V2: Hierarchy(mount / "unified", mount / "unified"),
    }


def test_v2_alone_has_one() -> None:
    own = "0::/user.slice/session-1.scope\n"
    mount = Path("/sys/fs/cgroup")
    assert parse_hierarchies(V2_MOUNT, own) == {
        V2: Hierarchy(mount, mount / "user.slice/session-1.scope")
    }


def test_a_mount_of_a_part_counts_from_there() -> None:
    part = V2_MOUNT.replace(" / /sys", " /docker/abc /sys")
    mount = Path("/sys/fs/cgroup")
    assert parse_hierarchies(part, "0::/docker/abc/x\n") == {V2: Hierarchy(mount, mount / "x")}


def test_controllers_that_share_a_mount_are_told_apart() -> None:
    line = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    mount = Path("/sys/fs/cgroup/cpu,cpuacct")
    assert parse_hierarchies(line, "1:cpu,cpuacct:/a\n") == {CPU: Hierarchy(mount, mount / "a")}


def test_other_controllers_are_nothing_for_a_host() -> None:
    line = "32 31 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    assert parse_hierarchies(line, "4:memory:/\n") == {}


@pytest.mark.parametrize(("setting", "written"), [("cpu.weight", "1000"), ("cpu.shares", "10240")])
def test_a_weight_is_written_as_the_kernel_has_it(
    tmp_path: Path, setting: str, written: str
) -> None:
    (tmp_path / setting).touch()
    Group((tmp_path,)).weigh(1000)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(setting, written)]


def test_the_controller_is_handed_down_from_where_it_is_on(tmp_path: Path) -> None:
    folder = tmp_path / "lab" / "host"
    folder.mkdir(parents=True)
    (tmp_path / "cgroup.controllers").write_text("cpu io\n")
    (tmp_path / "cgroup.subtree_control").write_text("io\n")
    (tmp_path / "lab" / "cgroup.controllers").write_text("io\n")
    (tmp_path / "lab" / "cgroup.subtree_control").write_text("io\n")
    Group((folder,)).weigh(100)
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu"
    assert (tmp_path / "lab" / "cgroup.subtree_control").read_text() == "io\n"


def test_realtime_is_a_part_of_the_period(tmp_path: Path) -> None:
    (tmp_path / "cpu.rt_period_us").write_text("500000\n")
    (tmp_path / "cpu.rt_runtime_us").write_text("0\n")
    Group((tmp_path,)).allow_realtime(0.15)
    assert (tmp_path / "cpu.rt_runtime_us").read_text() == "75000"


def test_processes_of_a_group_are_read_with_those_below_it(tmp_path: Path) -> None:
    below = tmp_path / "host" / "system.slice"
    below.mkdir(parents=True)
    (tmp_path / "host" / "cgroup.procs").write_text("7\n8\n")
    (below / "cgroup.procs").write_text("8\n9\n")
    assert Group((tmp_path,)).child("host").pids() == {7, 8, 9}
