"""Two local labs side by side: up, up again, broken and mended, rebooted, down without a trace."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from screamlab.paths import CHECKOUT

pytestmark = pytest.mark.e2e

BIN = Path(sys.executable).parent
INVENTORY = """\
routers: {hosts: {router1: {local_lab_number: 10}}}
clients: {hosts: {client1: {local_lab_number: 11}}}
impairment_points: {hosts: {wan: {local_lab_number: 2}}}
"""
# A recap names all hosts of the inventory; those that are not there took no part.
UNCHANGED = {"localhost": 0, "router1": 0, "client1": 0, "wan": 0}
# A machine that can impair links is treated as one that cannot.
THROUGH_WAN = ("-e", '{"local_lab_netem": false, "local_lab_wan": true}')
WITHOUT_WAN = ("-e", '{"local_lab_netem": false, "local_lab_wan": false}')
# Whatever a host must be able to do, in one go: what it prints is compared as a whole.
PROBE = """\
import os, socket, subprocess
def said(*words): return subprocess.run(words, capture_output=True, text=True).stdout.strip()
print(socket.gethostname())
print(said("systemctl", "is-system-running", "--wait"))
print(said("systemctl", "list-units", "--failed", "--plain", "--no-legend"))
print(said("ip", "-o", "route", "show", "default").split()[:5])
print(said("ip", "link", "set", "dev", "data0", "txqueuelen", "1001") == "")
print(said("tc", "qdisc", "replace", "dev", "data0", "root", "pfifo", "limit", "7") == "")
print("pfifo" in said("tc", "qdisc", "show", "dev", "data0"))
print(said("sysctl", "-n", "-w", "net.ipv4.ip_local_reserved_ports=4010"))
print("Started" in said("journalctl", "-b", "--no-pager"))
print(said("systemctl", "show", "--property=DefaultLimitCORE", "--value"))
print(os.listdir("/home"), set(os.listdir("/root")) - {".ssh"})
for peer in ("router1", "client1"):
    print(socket.create_connection((peer, 22), 5).recv(4).decode())
"""


WAN_PROBE = """\
import os, socket, subprocess
def said(*words): return subprocess.run(words, capture_output=True, text=True).stdout.strip()
print(socket.gethostname())
print(said("systemctl", "is-system-running", "--wait"))
print(said("systemctl", "list-units", "--failed", "--plain", "--no-legend"))
print(sorted(os.listdir("/sys/class/net/lan/brif")))
print(said("systemd-run", "--wait", "--pipe", "--quiet", "echo", "unit"))
print(said("sudo", "-u", "labadmin", "sh", "-c", "touch /tmp/mine; stat -c %U /tmp/mine"))
open("/etc/kept", "w").write("kept")
subprocess.run("tc qdisc add dev client1 root netem delay 60ms".split(), check=True)
"""
ROUND_TRIP = """\
import socket, time
def once():
    begin = time.monotonic()
    with socket.create_connection(("router1", 22), 5): return time.monotonic() - begin
print(min(once() for _ in range(5)) * 1000)
"""


@dataclass(frozen=True)
class Lab:
    """A lab of a router and a client."""

    name: str
    subnet: int
    inventory: Path

    def play(self, playbook: str, *options: str) -> dict[str, int]:
        """Run a playbook; return how many tasks changed something, per host."""
        printed = self._run("ansible-playbook", f"playbooks/{playbook}.yml", *options)
        recap = re.findall(r"^(\w+) +: ok=.* changed=(\d+) .* failed=0", printed, re.MULTILINE)
        return {host: int(changed) for host, changed in recap}

    def on(self, host: str, *words: str) -> str:
        """Run a module as root on a host; return what Ansible printed."""
        return self._run("ansible", host, "--become", "-m", *words)

    def python(self, host: str, script: str) -> list[str]:
        """Run a Python script as root on a host; return its lines."""
        arguments = json.dumps({"argv": ["/usr/bin/python3", "-c", script]})
        printed = self.on(host, "ansible.builtin.command", "-a", arguments)
        return printed.splitlines()[1:]

    def round_trip_ms(self) -> float:
        """The least of a few round trips from the client to the router over the data network."""
        return float(self.python("client1", ROUND_TRIP)[0])

    def booted(self, host: str) -> str:
        """When the host's first process began."""
        return self.python(host, "print(open('/proc/1/stat').read().split()[21])")[0]

    def traces(self) -> list[str]:
        """Everything on the machine that has to do with the lab."""
        mark = re.compile(rf"\b{self.name}\b|\bsl{self.subnet}\b|\b198\.1[89]\.{self.subnet}\.")
        links = subprocess.run(
            ["ip", "-o", "-details", "address"], capture_output=True, text=True
        ).stdout.splitlines()
        folders = ("/run", "/var/lib/screamlab", "/sys/fs/cgroup", "/tmp")
        files = [
            f"{parent}/{name}"
            for folder in folders
            for parent, below, names in os.walk(folder)
            for name in (*below, *names)
        ]
        known = [
            *links,
            *Path("/proc/self/mountinfo").read_text().splitlines(),
            *(line for line in processes().values() if "pytest" not in line),
            *(file for file in files if not file.startswith("/tmp/pytest")),
        ]
        return [entry for entry in known if mark.search(entry)]

    def _run(self, program: str, *words: str) -> str:
        names = ["-e", f"local_lab_name={self.name}", "-e", f"local_lab_subnet={self.subnet}"]
        done = subprocess.run(
            [str(BIN / program), "-i", str(self.inventory), *names, *words],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
        return done.stdout


def pids_of(word: str) -> list[int]:
    """The processes that have this word in their command line."""
    return [pid for pid, line in processes().items() if word in line.split("\0")]


def processes() -> dict[int, str]:
    """Command lines of all processes, with their zero bytes."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            found[int(folder.name)] = (folder / "cmdline").read_text(errors="replace")
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def labs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, Lab]]:
    """Two labs that are up."""
    if os.geteuid() != 0:
        pytest.skip("hosts in namespaces need root")
    folder = tmp_path_factory.mktemp("inventory")
    (folder / "hosts.yml").write_text(INVENTORY)
    (folder / "group_vars").symlink_to(CHECKOUT / "inventory" / "local" / "group_vars")
    pair = (Lab(f"t{os.getpid()}", 201, folder), Lab(f"u{os.getpid()}", 202, folder))
    try:
        for lab in pair:
            assert lab.traces() == []
            assert lab.play("up") == {**UNCHANGED, "localhost": 1}
        yield pair
    finally:
        for lab in pair:
            lab.play("down")


def test_a_second_up_changes_nothing(labs: tuple[Lab, Lab]) -> None:
    assert labs[0].play("up") == UNCHANGED


@pytest.mark.parametrize("which", [0, 1])
def test_a_host_is_a_host_of_its_own(labs: tuple[Lab, Lab], which: int) -> None:
    lab = labs[which]
    assert lab.python("client1", PROBE) == [
        "client1",
        "running",
        "",
        f"['default', 'via', '198.19.{lab.subnet}.1', 'dev', 'data0']",
        "True",
        "True",
        "True",
        "4010",
        "True",
        "infinity",
        "['labadmin'] set()",
        "SSH-",
        "SSH-",
    ]


def test_a_reboot_keeps_files_and_heals_the_network(labs: tuple[Lab, Lab]) -> None:
    lab = labs[0]
    lab.python("client1", "open('/etc/kept', 'w').write('kept')")
    lab.python(
        "client1",
        "import subprocess as s;"
        "s.run('tc qdisc replace dev data0 root pfifo limit 9'.split(), check=True)",
    )
    lab.on("client1", "ansible.builtin.reboot", "-a", "reboot_timeout=60")
    after = lab.python(
        "client1",
        "import subprocess as s; print(open('/etc/kept').read());"
        "print(s.run('tc qdisc show dev data0'.split(), capture_output=True).stdout)",
    )
    assert after[0] == "kept"
    assert "pfifo" not in after[1]


def test_up_mends_what_died(labs: tuple[Lab, Lab]) -> None:
    lab = labs[0]
    (nspawn,) = pids_of(f"--machine={lab.name}-client1")
    os.kill(nspawn, signal.SIGKILL)
    subprocess.run(["ip", "-n", f"{lab.name}-router1", "link", "del", "data0"], check=True)
    assert lab.play("up") == {**UNCHANGED, "localhost": 1}
    assert lab.python("client1", PROBE)[0] == "client1"
    assert lab.play("up")["localhost"] == 0


def test_another_kernel_in_the_middle_breaks_links_and_goes_again(labs: tuple[Lab, Lab]) -> None:
    lab = labs[0]
    booted = lab.booted("router1")
    assert lab.play("up", *THROUGH_WAN) == {**UNCHANGED, "localhost": 1}
    assert lab.play("up", *THROUGH_WAN) == UNCHANGED
    assert lab.python("wan", WAN_PROBE) == [
        "wan",
        "running",
        "",
        "['client1', 'router1']",
        "unit",
        "labadmin",
    ]
    assert lab.round_trip_ms() >= 60

    lab.on("wan", "ansible.builtin.reboot", "-a", "reboot_timeout=120")
    assert lab.python("wan", "print(open('/etc/kept').read())") == ["kept"]
    assert lab.round_trip_ms() < 40, "a reboot heals"
    lab.on("client1", "ansible.builtin.reboot", "-a", "reboot_timeout=60")
    assert lab.round_trip_ms() < 40, "a host that reboots finds the middle"

    assert lab.play("up", *WITHOUT_WAN) == {**UNCHANGED, "localhost": 1}
    assert lab.round_trip_ms() < 40
    assert lab.booted("router1") == booted, "the middle comes and goes without the others"


def test_down_leaves_nothing_of_a_lab_that_is_half_up(labs: tuple[Lab, Lab]) -> None:
    gone, other = labs
    gone.play("up", *THROUGH_WAN)
    supervisor = f"/var/lib/screamlab/labs/{gone.name}/hosts/router1/spec.json"
    (keeper,) = pids_of(supervisor)
    os.kill(keeper, signal.SIGKILL)
    subprocess.run(["ip", "link", "del", f"sl{gone.subnet}"], check=True)
    assert gone.traces()
    assert gone.play("down") == {"localhost": 1}
    assert gone.traces() == []
    assert gone.play("down") == {"localhost": 0}
    assert other.play("up")["localhost"] == 0
    assert Path("/run/systemd/nspawn").is_dir(), "the other lab's hosts have mounts on it"
