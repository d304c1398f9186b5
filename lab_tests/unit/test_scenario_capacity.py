"""What hosts cannot carry is refused before anything runs, with the numbers."""

from __future__ import annotations

import pytest

from screamlab.agent.workers import KINDS as WORKERS
from screamlab.errors import BadInput
from screamlab.inventory import Host, host_from_vars
from screamlab.scenario.capacity import costs, demands, refuse_overload
from screamlab.scenario.clients import players
from screamlab.scenario.plan import Plan, Worker


def host(name: str, **capacity: object) -> Host:
    data = {"device": "d", "address": "198.19.0.9/24"}
    told = {"screamlab_capacity": capacity} if capacity else {}
    return host_from_vars(name, [], {"screamlab_data": data, **told})


def plan(name: str, windows: list[tuple[float, float]], kind: str = "gst_sender") -> Plan:
    streams = [{"from_s": from_s, "to_s": to_s} for from_s, to_s in windows]
    worker = Worker(name="w", kind=kind, from_s=0, to_s=9, spec={"streams": streams})
    return Plan(
        run_id="r",
        host=name,
        scenario="s",
        scale="quick",
        seed=1,
        duration_s=9,
        phases=(),
        workers=(worker,),
    )


def test_every_kind_of_client_has_a_cost_and_a_worker() -> None:
    assert costs().keys() == players().keys()
    assert players().keys() <= WORKERS.keys()


def test_only_what_is_up_at_once_counts() -> None:
    (one,) = demands(plan("a", [(0, 3), (3, 9), (4, 9)]))
    assert one.clients == 2
    cost = costs()["gst_sender"]
    assert one.cpu_percent == cost.base_cpu_percent + 2 * cost.cpu_percent


def test_too_much_for_one_host_is_refused() -> None:
    many = plan("a", [(0, 9)] * 100)
    wanted = demands(many)[0].cpu_percent
    refuse_overload({"a": many}, [host("a", cores=wanted / 100, mib=1e6)])
    with pytest.raises(BadInput, match=r"a cannot carry .* most by 100 gst_sender take"):
        refuse_overload({"a": many}, [host("a", cores=wanted / 100 - 0.01, mib=1e6)])
    with pytest.raises(BadInput, match=r"MiB, there are .* and 10 MiB"):
        refuse_overload({"a": many}, [host("a", cores=1e3, mib=10)])


def test_hosts_of_one_machine_share_it() -> None:
    plans = {name: plan(name, [(0, 9)] * 10) for name in ("a", "b")}
    cores = 1.5 * demands(plans["a"])[0].cpu_percent / 100
    apart = [host(name, cores=cores, mib=1e6) for name in plans]
    refuse_overload(plans, apart)
    together = [host(name, cores=cores, mib=1e6, machine="m") for name in plans]
    with pytest.raises(BadInput, match="a, b cannot carry"):
        refuse_overload(plans, together)


def test_a_host_that_tells_nothing_is_not_asked() -> None:
    refuse_overload({"a": plan("a", [(0, 9)] * 10_000)}, [host("a")])
