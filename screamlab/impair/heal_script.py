"""The one way in which a device is healed, whoever asks: a script that needs sh, tc and ip only.

A dead man runs it when Python and the virtual environment are gone.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from screamlab.impair import marks
from screamlab.impair.tc import PREFERENCE, ROOT, ifb_of

_FILTER = f"protocol ip pref {PREFERENCE}"
SCRIPT = f"""\
#!/bin/sh
# Takes the lab's impairment off one device: DEVICE IFB MARK. Safe to repeat. Removes the mark and
# ends with 0 only when the device was seen to be clean.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
device=$1 ifb=$2 mark=$3

is_there() {{ [ -e "/sys/class/net/$1" ]; }}

is_clean() {{
    is_there "$ifb" && return 1
    is_there "$device" || return 0
    qdiscs=$(tc qdisc show dev "$device") || return 1
    case "$qdiscs" in
        *" {ROOT} root"*) return 1 ;;
        *"qdisc ingress "* | *"qdisc clsact "*) ;;
        *) return 0 ;;
    esac
    filters=$(tc filter show dev "$device" ingress) || return 1
    case "$filters" in *" pref {PREFERENCE} "*) return 1 ;; esac
}}

if is_there "$device"; then
    tc qdisc del dev "$device" root handle {ROOT} 2>/dev/null
    ours=0
    is_there "$ifb" && ours=1
    tc filter del dev "$device" ingress {_FILTER} 2>/dev/null && ours=1
    if [ $ours = 1 ] && [ -z "$(tc filter show dev "$device" ingress)" ]; then
        tc qdisc del dev "$device" ingress 2>/dev/null
    fi
fi
is_there "$ifb" && ip link del "$ifb"

is_clean || {{ echo "$device is not clean" >&2; exit 1; }}
rm -f "$mark"
"""


def installed() -> Path:
    """The script on the disk, written if it is not there or is another one."""
    file = marks.MARKS / "heal.sh"
    if not file.exists() or file.read_text() != SCRIPT:
        marks.MARKS.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(".draft")
        draft.write_text(SCRIPT)
        draft.rename(file)
    return file


def command(device: str) -> list[str]:
    """The command line that heals a device."""
    return ["/bin/sh", str(installed()), device, ifb_of(device), str(marks.path(device))]


def run(device: str) -> str | None:
    """Heal a device; what is wrong if it is not clean now."""
    done = subprocess.run(command(device), capture_output=True, text=True)
    return None if done.returncode == 0 else done.stderr.strip() or f"exit {done.returncode}"
