"""Whether this host's kernel and tc can do what is asked of them."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from screamlab.errors import InfraError
from screamlab.impair import commands
from screamlab.impair.device import Wanted

# A function of each module, for those that are built in: they need not be in /sys/module.
_FUNCTIONS = {
    "sch_prio": "prio_enqueue",
    "sch_netem": "netem_enqueue",
    "sch_tbf": "tbf_enqueue",
    "sch_ingress": "ingress_init",
    "cls_flower": "fl_classify",
    "act_mirred": "tcf_mirred_init",
    "ifb": "ifb_xmit",
}
_SEED_SINCE = (6, 6)


def require(wanted: Wanted) -> None:
    """Load what the kernel needs for `wanted`; `InfraError` names what it or tc lacks."""
    halves = [half for half in wanted.values() if half]
    modules = ["sch_netem", "cls_flower"] if halves else []
    modules += ["sch_prio"] if wanted.get("egress") else []
    modules += ["sch_ingress", "act_mirred", "ifb"] if wanted.get("ingress") else []
    modules += ["sch_tbf"] if any(half.tbf for half in halves) else []
    lacking = _lacking(modules)
    if lacking:
        names = " and ".join([", ".join(lacking[:-1]), lacking[-1]] if lacking[1:] else lacking)
        raise InfraError(f"this host's kernel {os.uname().release} has no module {names}")
    if any(half.netem.seed is not None for half in halves):
        _require_seed()


def _lacking(modules: Iterable[str]) -> list[str]:
    absent = [name for name in modules if not Path("/sys/module", name).is_dir()]
    for name in absent:
        # An ifb of its own accord would bring two interfaces along.
        options = ["numifbs=0"] if name == "ifb" else []
        subprocess.run(["/sbin/modprobe", "--quiet", name, *options], check=False)
    absent = [name for name in absent if not Path("/sys/module", name).is_dir()]
    if not absent:
        return []
    with Path("/proc/kallsyms").open() as file:
        known = {line.split()[2] for line in file}
    return [name for name in absent if _FUNCTIONS[name] not in known]


def _require_seed() -> None:
    kernel = os.uname().release
    tool = commands.output("tc", "-V").strip()
    versions = re.match(r"(\d+)\.(\d+)", kernel), re.search(r"iproute2-(\d+)\.(\d+)", tool)
    if not all(found and (int(found[1]), int(found[2])) >= _SEED_SINCE for found in versions):
        raise InfraError(
            f"a seed needs kernel and iproute2 of 6.6 or later; this host has {kernel} and {tool}"
        )
