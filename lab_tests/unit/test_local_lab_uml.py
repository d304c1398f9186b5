"""What a host with a kernel of its own is booted with, and how its script sets the network up."""

from __future__ import annotations

import subprocess
from pathlib import Path

from screamlab.local_lab import uml
from screamlab.local_lab.data_plane import tap_name
from screamlab.local_lab.model import Host, Lab

WAN = Host("wan", "198.18.21.2/24", "198.19.21.1/24", "uml")
ENDS = (
    Host("router1", "198.18.21.10/24", "198.19.21.10/24"),
    Host("client1", "198.18.21.11/24", "198.19.21.11/24"),
)
LAB = Lab("b", 21, (*ENDS, WAN))


def test_legs_are_named_after_the_hosts_and_joined_by_a_bridge() -> None:
    assert uml.network_lines(LAB, WAN) == [
        "link set vec0 name mgmt0 address 02:53:c6:12:15:02",
        "link set mgmt0 up",
        "address add 198.18.21.2/24 dev mgmt0",
        "link add lan address 02:53:c6:13:15:01 type bridge forward_delay 0 mcast_snooping 0",
        "link set lan addrgenmode none up",
        "address add 198.19.21.1/24 dev lan",
        "link set vec1 name router1 address 12:53:c6:13:15:0a master lan addrgenmode none",
        "link set router1 up",
        "link set vec2 name client1 address 12:53:c6:13:15:0b master lan addrgenmode none",
        "link set client1 up",
    ]


def test_every_device_is_on_the_tap_of_its_name() -> None:
    devices = [line.split()[4] for line in uml.network_lines(LAB, WAN) if " name " in line]
    arguments = uml.arguments(LAB, Path("/root"), Path("/image"))
    vectors = [word for word in arguments if word.startswith("vec")]
    assert vectors == [
        f"vec{number}:transport=tap,ifname={tap_name(device)},depth=128,gro=1"
        for number, device in enumerate(devices)
    ]


def test_the_first_process_is_a_script_that_a_shell_can_read() -> None:
    (script,) = [file for file in uml.files(LAB, WAN) if file.mode == 0o755]
    assert f"init={script.path}" in uml.arguments(LAB, Path("/root"), Path("/image"))
    subprocess.run(["sh", "-n"], input=script.content, text=True, check=True)


def test_a_disk_is_empty_and_takes_no_room(tmp_path: Path) -> None:
    image = tmp_path / "image"
    uml.make_image(image, 4096)
    assert image.stat().st_size == 4096 << 20
    assert image.stat().st_blocks * 512 < 16 << 20
    with image.open("rb") as stream:
        stream.seek(1080)
        assert stream.read(2) == b"\x53\xef"
