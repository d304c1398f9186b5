"""The hosts of an Ansible inventory as the compiler needs them; no host is contacted."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from screamlab.errors import BadInput
from screamlab.impair.condition import Facing

_Model = TypeVar("_Model", bound=BaseModel)


class DataPlane(BaseModel):
    """A host's place on the data network (inventory variable ``screamlab_data``)."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    device: str
    address: str
    pool: str | None = None

    @field_validator("address")
    @classmethod
    def _is_interface(cls, value: str) -> str:
        ipaddress.IPv4Interface(value)
        return value

    @field_validator("pool")
    @classmethod
    def _is_network(cls, value: str | None) -> str | None:
        if value is not None:
            ipaddress.IPv4Network(value)
        return value

    @property
    def ip(self) -> str:
        """The host's own address without its prefix length."""
        return str(ipaddress.IPv4Interface(self.address).ip)

    def pool_addresses(self) -> list[str]:
        """Addresses with prefix length, one for each stream this host can send."""
        if self.pool is None:
            return []
        interface = ipaddress.IPv4Interface(self.address)
        edges = {interface.ip, interface.network[0], interface.network[-1]}
        return [
            f"{address}/{interface.network.prefixlen}"
            for address in ipaddress.IPv4Network(self.pool)
            if address not in edges
        ]


class ImpairmentPoint(BaseModel):
    """Where a host's link is broken (inventory variable ``screamlab_impairment_point``)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str
    device: str
    facing: Facing = "network"


class Capacity(BaseModel):
    """What a host's clients may take (inventory variable ``screamlab_capacity``).

    Hosts of the same `machine` share one capacity.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    cores: float = Field(gt=0)
    mib: float = Field(gt=0)
    machine: str | None = None


class Metrics(BaseModel):
    """Where a host shows its part of a run live (inventory variable ``screamlab_metrics``).

    At the address by which Ansible reaches it, unless another one is given.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    port: int = Field(ge=1, le=65535)
    address: str


class Processors(BaseModel):
    """How a host's processors are held while a run goes on (``screamlab_processors``)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    wakeup_latency_us: int | None = Field(
        default=None, ge=0, le=2**31 - 1, description="the longest they may take to wake up"
    )


class Ssh(BaseModel):
    """How the controller reaches a host."""

    model_config = ConfigDict(frozen=True)

    address: str
    port: int = 22
    user: str = "root"
    key_file: str | None = None
    common_args: str = ""


class Host(BaseModel):
    """One inventory host."""

    model_config = ConfigDict(frozen=True)

    name: str
    groups: tuple[str, ...]
    data: DataPlane
    point: ImpairmentPoint
    ssh: Ssh
    capacity: Capacity | None = None
    metrics: Metrics | None = None
    processors: Processors = Processors()


# What a host is made of, and so all that a plan or the run's record depends on.
VARIABLES = (
    "ansible_host",
    "ansible_port",
    "ansible_user",
    "ansible_ssh_private_key_file",
    "ansible_ssh_common_args",
    "screamlab_capacity",
    "screamlab_data",
    "screamlab_impairment_point",
    "screamlab_metrics",
    "screamlab_processors",
)


def host_from_vars(name: str, groups: Sequence[str], hostvars: Mapping[str, Any]) -> Host:
    """Build a host from its templated variables; `BadInput` names host and variable."""
    if "screamlab_data" not in hostvars:
        raise BadInput(f"host {name}: the inventory variable screamlab_data is missing")
    data = _variable(DataPlane, name, "screamlab_data", hostvars["screamlab_data"])
    own = {"host": name, "device": data.device}
    place = hostvars.get("screamlab_impairment_point", own)
    point = _variable(ImpairmentPoint, name, "screamlab_impairment_point", place)
    ssh = Ssh(
        address=str(hostvars.get("ansible_host", name)),
        port=int(hostvars.get("ansible_port", 22)),
        user=str(hostvars.get("ansible_user", "root")),
        key_file=hostvars.get("ansible_ssh_private_key_file"),
        common_args=str(hostvars.get("ansible_ssh_common_args", "")),
    )
    capacity = None
    if "screamlab_capacity" in hostvars:
        told = hostvars["screamlab_capacity"]
        capacity = _variable(Capacity, name, "screamlab_capacity", told)
    metrics = None
    if "screamlab_metrics" in hostvars:
        shown = {"address": ssh.address, **hostvars["screamlab_metrics"]}
        metrics = _variable(Metrics, name, "screamlab_metrics", shown)
    held = hostvars.get("screamlab_processors", {})
    return Host(
        name=name,
        groups=tuple(groups),
        data=data,
        point=point,
        ssh=ssh,
        capacity=capacity,
        metrics=metrics,
        processors=_variable(Processors, name, "screamlab_processors", held),
    )


def _variable(model: type[_Model], host: str, name: str, value: Any) -> _Model:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join([name, *(str(part) for part in first["loc"])])
        raise BadInput(f"host {host}: {key}: {first['msg']}") from error


def load_hosts(inventory: Path, extra_vars: Mapping[str, Any] | None = None) -> list[Host]:
    """Every host of an inventory that has a place on the data network, variables templated.

    Uses ansible-core's own inventory, variable manager and templar, so what a playbook sees is
    what the compiler sees. Raises `BadInput` when the inventory cannot be read.
    """
    from ansible.errors import AnsibleError
    from ansible.inventory.manager import InventoryManager
    from ansible.parsing.dataloader import DataLoader
    from ansible.template import Templar
    from ansible.vars.manager import VariableManager

    if not inventory.exists():
        raise BadInput(f"{inventory}: there is no such inventory")
    loader = DataLoader()
    try:
        manager = InventoryManager(loader=loader, sources=[str(inventory)])
        variables = VariableManager(loader=loader, inventory=manager)
        hosts = []
        for host in manager.get_hosts():
            found = {**variables.get_vars(host=host), **(extra_vars or {})}
            wanted = {
                key: value
                for key, value in found.items()
                if key.startswith(("ansible_", "screamlab_"))
                and key not in {"ansible_facts", "ansible_version"}
            }
            templar = Templar(loader=loader, variables=found)
            groups = [group.name for group in host.get_groups()]
            hosts.append(host_from_vars(host.name, groups, templar.template(wanted)))
    except AnsibleError as error:
        raise BadInput(f"{inventory}: {error}") from error
    if not hosts:
        raise BadInput(f"{inventory}: there is no host in this inventory")
    return hosts
