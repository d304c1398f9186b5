"""The modules netem and impair_heal against a real kernel, in a User-Mode Linux of the tests' own.

It boots once, on this machine's root file system, carries out `STEPS`, and the tests read the
answers. It has no systemd: its dead men are detached shells.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from screamlab.paths import CHECKOUT

pytestmark = pytest.mark.e2e

HERE = Path(__file__).parent
PEER = {"peers": ["198.18.0.2"], "protocol": "any"}
GE = {"model": "gilbert_elliott", "to_bad_percent": 0.1, "to_good_percent": 25}
BAD = {
    "delay_ms": 40,
    "jitter_ms": 2,
    "loss": GE,
    "rate_kbit": 8000,
    "selector": PEER,
    "revert_after_s": 600,
}
MARK = "/var/lib/screamlab/impaired/d0.json"
CLEAN = "tc qdisc show | grep -c ' 5ca[123]: '; ls /var/lib/screamlab/impaired; ls /sys/class/net"


def netem(*, check: bool = False, **args: Any) -> dict[str, Any]:
    asked = {"device": "d0", **args, "_ansible_check_mode": check, "_ansible_diff": True}
    return {"module": "netem", "args": asked}


def heal(*, check: bool = False) -> dict[str, Any]:
    return {"module": "impair_heal", "args": {"_ansible_check_mode": check, "_ansible_diff": True}}


def sh(command: str) -> dict[str, Any]:
    return {"sh": command}


def ssh_session() -> dict[str, Any]:
    """A TCP connection from the other end to port 22, which stays."""
    server = "socket.create_server(('198.18.0.1', 22)).accept()[0].recv(1)"
    client = "socket.create_connection(('198.18.0.1', 22)).recv(1)"
    python = f"{sys.executable} -c 'import socket; %s' >/dev/null 2>&1 &"
    return sh(
        f"{python % server.replace(chr(39), chr(34))}\n"
        "timeout 60 sh -c 'until ss -Hltn | grep -q :22; do sleep 0.1; done'\n"
        f"ip netns exec far {python % client.replace(chr(39), chr(34))}\n"
        "timeout 60 sh -c 'until ss -Htn | grep -q ESTAB; do sleep 0.1; done'"
    )


STEPS = {
    "seed": netem(**BAD, seed=1),
    "check": netem(**BAD, check=True),
    "untouched": sh(CLEAN),
    "present": netem(**BAD),
    "ping": sh("ping -qc 20 -i 0.05 198.18.0.2"),
    "counted": netem(**BAD),
    "counted-check": netem(**BAD, check=True),
    "slower": netem(**{**BAD, "rate_kbit": 4000}),
    "ingress": netem(direction="ingress", delay_ms=30, selector=PEER, revert_after_s=600),
    "ping-both": sh("ping -qc 20 -i 0.05 198.18.0.2"),
    "absent-check": netem(state="absent", check=True),
    "absent": netem(state="absent"),
    "absent-again": netem(state="absent"),
    "survey": heal(check=True),
    "heal": heal(),
    "heal-again": heal(),
    "clean": sh(CLEAN),
    "dead-man": netem(**{**BAD, "revert_after_s": 2}),
    # Nobody else heals it.
    "alone": sh(f"timeout 60 sh -c 'while [ -e {MARK} ]; do sleep 0.1; done'; {CLEAN}"),
    "strange-root": sh("tc qdisc add dev d0 root handle 7: prio; tc qdisc add dev d0 clsact"),
    "strange": netem(**BAD),
    "strange-ingress": netem(direction="ingress", delay_ms=1, revert_after_s=600),
    "strange-heal": heal(),
    "strange-stays": sh("tc qdisc show dev d0"),
    "strange-gone": sh("tc qdisc del dev d0 root; tc qdisc del dev d0 clsact"),
    "ssh": ssh_session(),
    "cut-off": netem(delay_ms=1, revert_after_s=600),
    "cut-off-by-selector": netem(delay_ms=1, selector=PEER, revert_after_s=600, check=True),
    "left-alone": netem(
        delay_ms=1, selector={**PEER, "protocol": "udp"}, revert_after_s=600, check=True
    ),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    if not shutil.which("linux.uml"):
        pytest.skip("needs the Debian package user-mode-linux")
    folder = tmp_path_factory.mktemp("guest")
    steps = folder / "steps.json"
    steps.write_text(json.dumps(list(STEPS.items())))
    command = [
        "setpriv",
        "--pdeathsig=KILL",
        "linux.uml",
        "mem=256M",
        "root=/dev/root",
        "rootfstype=hostfs",
        "rootflags=/",
        "ro",
        f"init={HERE / 'netem_guest.sh'}",
        f'GUEST_COMMAND="{sys.executable} {HERE / "netem_guest.py"} {steps}"',
        f"uml_dir={folder}",
        "con=null",
        "con0=fd:0,fd:1",
        "quiet",
    ]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600
    )
    found = re.findall(r"^ANSWER (.*)$", done.stdout, re.M)
    told = {item["name"]: item["answer"] for item in map(json.loads, found)}
    assert told.keys() == STEPS.keys(), done.stdout[-2000:]
    return told


def rtt_ms(answer: dict[str, Any]) -> float:
    """The shortest of ping's round trips."""
    found = re.search(r"rtt min/avg/max/mdev = ([\d.]+)/", answer["out"])
    assert found, answer
    return float(found[1])


def packets_seen(answer: dict[str, Any]) -> int:
    """Packets that passed and packets that netem lost: how many of them it loses is chance."""
    counters = answer["tree"]["counters"]
    return int(counters["packets"] + counters["drops"])


def test_check_mode_tells_the_commands_and_does_nothing(answers: dict[str, Any]) -> None:
    told = answers["check"]
    assert told["changed"]
    assert told["commands"][0].startswith("tc qdisc add dev d0 root handle 5ca1: prio ")
    assert " netem limit " in told["commands"][1] and " tbf " in told["commands"][2]
    assert told["diff"]["prepared"].splitlines() == told["commands"]
    assert answers["untouched"]["out"].split()[0] == "0"


def test_present_delays_what_is_selected(answers: dict[str, Any]) -> None:
    told = answers["present"]
    assert told["changed"] and told["commands"] == answers["check"]["commands"]
    assert told["tree"]["netem"]["delay_s"] == pytest.approx(0.04)
    assert told["tree"]["tbf"]["rate"] == 1_000_000
    assert 32 < rtt_ms(answers["ping"]) < 60


def test_present_again_changes_nothing_and_tells_the_counters(answers: dict[str, Any]) -> None:
    told = answers["counted"]
    assert (told["changed"], told["commands"]) == (False, [])
    assert packets_seen(told) >= 20
    assert not answers["counted-check"]["changed"]


def test_a_new_rate_is_set_in_place(answers: dict[str, Any]) -> None:
    (command,) = answers["slower"]["commands"]
    assert "qdisc change" in command and " tbf rate 4000000bit " in command
    # A qdisc made anew would have counted nothing yet.
    assert packets_seen(answers["slower"]) >= 20


def test_what_comes_in_is_delayed_too(answers: dict[str, Any]) -> None:
    assert answers["ingress"]["tree"]["netem"]["delay_s"] == pytest.approx(0.03)
    assert 62 < rtt_ms(answers["ping-both"]) < 100


def test_absent_takes_one_direction_off(answers: dict[str, Any]) -> None:
    told = answers["absent"]
    assert told["changed"] and told["commands"] == answers["absent-check"]["commands"]
    assert told["tree"]["netem"] is None
    assert not answers["absent-again"]["changed"]


def test_heal_finds_and_removes_everything(answers: dict[str, Any]) -> None:
    told = answers["heal"]
    assert told["changed"] and told["left"] == []
    assert told["found"] == answers["survey"]["found"]
    assert any("ifb-d0" in sentence for sentence in told["found"])
    assert any("dead man" in sentence for sentence in told["found"])
    assert answers["heal-again"]["changed"] is False
    assert answers["clean"]["out"].split() == ["0", "heal.sh", "d0", "lo"]


def test_the_dead_man_heals_when_nobody_does(answers: dict[str, Any]) -> None:
    assert answers["dead-man"]["changed"]
    assert answers["alone"]["out"].split() == ["0", "heal.sh", "d0", "lo"]


def test_foreign_qdiscs_are_refused_and_left_alone(answers: dict[str, Any]) -> None:
    assert "root qdisc that is not the lab's: handle 7:" in answers["strange"]["msg"]
    assert "ingress qdisc that is not the lab's" in answers["strange-ingress"]["msg"]
    assert answers["strange-heal"]["found"] == []
    assert {"prio 7:", "clsact ffff:"} <= set(
        re.findall(r"qdisc (\w+ \w+:)", answers["strange-stays"]["out"])
    )


def test_the_controller_is_not_cut_off(answers: dict[str, Any]) -> None:
    assert "d0 carries the controller's connection, 198.18.0.2 port" in answers["cut-off"]["msg"]
    assert "without a selector" in answers["cut-off"]["msg"]
    assert "the selector matches it" in answers["cut-off-by-selector"]["msg"]
    assert answers["left-alone"]["changed"]


def test_a_seed_is_refused_where_it_is_not_known(answers: dict[str, Any]) -> None:
    assert "6.6 or later" in answers["seed"]["msg"]


def test_a_kernel_without_netem_is_told() -> None:
    if Path("/sys/module/sch_netem").exists() or "netem_enqueue" in Path(
        "/proc/kallsyms"
    ).read_text():  # fmt: skip
        pytest.skip("this machine's kernel has netem")
    asked = {"device": "lo", "delay_ms": 1, "selector": PEER, "revert_after_s": 60}
    done = subprocess.run(
        [sys.executable, "library/netem.py"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": {**asked, "_ansible_check_mode": True}}),
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
    )
    msg = json.loads(done.stdout.splitlines()[-1])["msg"]
    assert re.fullmatch(r"this host's kernel \S+ has no module sch_netem.*", msg)
