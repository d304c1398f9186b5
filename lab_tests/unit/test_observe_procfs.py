"""Parsers of /proc and of tools' output, on text captured from running machines."""

from __future__ import annotations

import pytest

from screamlab.observe import procfs
from screamlab.observe.host_facts import gather, parse_offloads, parse_os_release
from screamlab.observe.units import UnitState, control_group_folders, parse_show
from screamlab.paths import CHECKOUT

DATA = CHECKOUT / "lab_tests/data"


def captured(name: str) -> bytes:
    return (DATA / name).read_bytes()


def test_stat_of_a_process_with_brackets_and_blanks_in_its_name() -> None:
    stat = procfs.parse_stat(captured("proc_pid_stat.txt"))
    assert stat == procfs.ProcessStat(
        state=b"S",
        minor_faults=140,
        major_faults=0,
        cpu_ticks=0,
        threads=1,
        start_ticks=275409,
        rss_pages=415,
    )


def test_context_switches_of_a_thread() -> None:
    assert procfs.parse_switches(captured("proc_task_status.txt")) == (1, 1)


def test_uss_is_what_is_private() -> None:
    memory = procfs.parse_rollup(captured("proc_smaps_rollup.txt"))
    assert memory == procfs.Memory(uss_bytes=(8 + 148) * 1024, pss_bytes=209 * 1024)


def test_rollup_of_a_process_that_has_just_ended_is_empty() -> None:
    with pytest.raises(ValueError):
        procfs.parse_rollup(b"")


def test_processor_times() -> None:
    times = procfs.parse_cpu(captured("proc_stat.txt"))
    assert times == procfs.CpuTimes(total=548868, idle=296224, iowait=1816, steal=8248)


def test_memory() -> None:
    assert procfs.parse_meminfo(captured("proc_meminfo.txt")) == (24684092 * 1024, 23339276 * 1024)


def test_udp_counters() -> None:
    udp = procfs.parse_snmp(captured("proc_net_snmp.txt"), "Udp")
    assert (udp["InErrors"], udp["RcvbufErrors"], udp["NoPorts"]) == (204348, 204348, 2002)


def test_devices() -> None:
    devices = procfs.parse_devices(captured("proc_net_dev.txt"))
    assert devices["eth0"]["rx_bytes"] == 718008679
    assert devices["eth0"]["tx_packets"] == 10809
    assert devices["b-client1"]["rx_dropped"] == 0


def test_softnet_sums_all_processors() -> None:
    processed, dropped, squeezed = procfs.parse_softnet(captured("proc_softnet_stat.txt"))
    assert (processed, dropped, squeezed) == (0x469D0 + 0xF8C20, 0, 2)


def test_udp_sockets_show_a_queue_nobody_reads() -> None:
    sockets = procfs.parse_udp_sockets(captured("proc_net_udp.txt"))
    assert procfs.UdpSocket(port=40000, rx_queue_bytes=0x1200, drops=18) in sockets


def test_units_as_systemd_shows_them() -> None:
    names = ["ssh.service", "nope.service", "systemd-journald.service"]
    states = parse_show(captured("systemctl_show.txt").decode(), names)
    assert states["ssh.service"] == UnitState("/system.slice/ssh.service", 34, 0)
    assert states["nope.service"] == UnitState()
    assert states["systemd-journald.service"].main_pid == 22


def test_an_answer_about_fewer_units_is_refused() -> None:
    with pytest.raises(ValueError):
        parse_show("MainPID=1\n", ["a.service", "b.service"])


def test_control_groups_where_both_versions_are_mounted() -> None:
    mountinfo = captured("mountinfo_cgroup_hybrid.txt").decode()
    assert control_group_folders(mountinfo, "/system.slice/ssh.service") == [
        "/sys/fs/cgroup/unified/system.slice/ssh.service",
        "/sys/fs/cgroup/systemd/system.slice/ssh.service",
    ]


def test_control_group_below_the_root_that_is_mounted() -> None:
    line = "30 25 0:26 /machine/c1 /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
    assert control_group_folders(line, "/machine/c1/a.service") == ["/sys/fs/cgroup/a.service"]


def test_offloads() -> None:
    offloads = parse_offloads(captured("ethtool_k.txt").decode())
    assert offloads["rx-checksumming"] is True
    assert offloads["tx-checksum-ipv4"] is False


def test_os_release_with_quotes_and_comments() -> None:
    text = '# made by hand\nID=debian\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n'
    assert parse_os_release(text) == {
        "ID": "debian",
        "PRETTY_NAME": "Debian GNU/Linux 12 (bookworm)",
    }


def test_facts_of_this_machine_are_there_even_where_tools_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    facts = gather()
    assert facts["kernel"]["started_at"] and facts["memory_bytes"] > 0 and facts["cpu"]["count"] > 0
    assert facts["qdiscs"] is None and facts["versions"]["packages"] is None
