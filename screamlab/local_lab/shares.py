"""What part of the machine's processors each host gets.

Hosts are machines: each gets as much as any other, however many processes it runs, so that a busy
router takes nothing from its clients. The host that carries everybody's packets goes first.
"""

from __future__ import annotations

from screamlab.local_lab import cgroup
from screamlab.local_lab.model import HostSpec, Kind

# On the scale of cgroup v2, where 100 is the usual: what else the machine does is the
# controller's work, which can wait a little, and must not stand still for a busy host.
WEIGHT: dict[Kind, int] = {"container": 200, "uml": 1000}


def give(spec: HostSpec) -> None:
    """Make a host's control group with its part."""
    group = cgroup.named(spec.place.cgroup)
    group.create()
    group.weigh(WEIGHT[spec.host.kind])
    group.allow_realtime(spec.host.realtime)
