"""The compiled timeline of a scenario, host by host, for people."""

from __future__ import annotations

from typing import Any

from rich.console import Console, Group
from rich.table import Table

from screamlab.scenario.compile import Compiled
from screamlab.scenario.plan import Plan

# What the items are called of which a worker's spec is a list.
_ITEMS = ("streams", "devices", "impairments", "cycles")


def show_plans(compiled: Compiled, console: Console) -> None:
    """Print phases, then what each host does and when (seconds after zero)."""
    plans = list(compiled.plans.values())
    phases = Table("phase", "from s", "to s", title="timeline", title_justify="left")
    for phase in plans[0].phases:
        phases.add_row(phase.name, f"{phase.from_s:g}", f"{phase.to_s:g}")
    counts = ", ".join(f"{len(items)} {kind}" for kind, items in _parts(compiled))
    console.print(Group(phases, *(_host(plan) for plan in plans)), f"router: {counts}")


def _parts(compiled: Compiled) -> list[tuple[str, list[dict[str, object]]]]:
    topology = compiled.topology
    return [
        ("sources", topology["sources"]),
        ("sinks", topology["sinks"]),
        ("routes", topology["routes"]),
    ]


def _host(plan: Plan) -> Table:
    table = Table("from s", "to s", "worker", "stream", "what", title=plan.host,
                  title_justify="left")  # fmt: skip
    for worker in plan.workers:
        # The sampler's devices are names, no items.
        listed = (item for key in _ITEMS for item in worker.spec.get(key, ()))
        items = [item for item in listed if isinstance(item, dict)]
        if not items:
            table.add_row(f"{worker.from_s:g}", f"{worker.to_s:g}", worker.name, "", worker.kind)
        for item in items:
            window = (f"{item['from_s']:.1f}", f"{item['to_s']:.1f}")
            table.add_row(*window, worker.name, *_what(item))
    return table


def _what(item: dict[str, Any]) -> tuple[str, str]:
    """The name of a stream, a device, an impairment or a cycle, and what it does."""
    if "registrar" in item:
        registrar = f"{item['registrar']['address']}:{item['registrar']['port']}"
        calls = f"and calls in {item['media']['codec']}" if item["media"] else "and does not call"
        return item["name"], f"sip {item['address']} registers at {registrar} {calls}"
    if "number" in item:
        return f"cycle {item['number']}", f"lane {item['lane']}"
    if "profile" in item:
        return item["profile"], f"breaks the link of {item['target']}, at {item['device']}"
    format_ = f"{item['protocol']} {item['codec']}" if "protocol" in item else "probe"
    local = item["local"]
    if "hears" in item:
        heard = ", ".join(sender["sender"] for sender in item["hears"])
        asked = f" by the sink {item['sink']}" if item.get("sink") else ""
        return item["name"], f"{format_} at {local['address']}:{local['port']} hears {heard}{asked}"
    remote = item["remote"]
    return item["name"], f"{format_} {local['address']} → {remote['address']}:{remote['port']}"
