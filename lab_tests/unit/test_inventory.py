"""Inventories: every shipped one gives the compiler what it needs, and mistakes are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from screamlab.errors import BadInput
from screamlab.inventory import DataPlane, load_hosts
from screamlab.paths import CHECKOUT

SHIPPED = sorted(path for path in (CHECKOUT / "inventory").iterdir() if path.is_dir())


@pytest.mark.parametrize("inventory", SHIPPED, ids=lambda path: path.name)
def test_every_shipped_inventory_has_a_router_and_clients_with_addresses(inventory: Path) -> None:
    hosts = load_hosts(inventory)
    assert [host for host in hosts if "routers" in host.groups]
    clients = [host for host in hosts if "clients" in host.groups]
    pools = [address for host in clients for address in host.data.pool_addresses()]
    assert len(set(pools)) == len(pools) >= len(clients)
    own = {host.data.ip for host in hosts}
    assert len(own) == len(hosts)
    assert not own & {address.split("/")[0] for address in pools}


def test_two_labs_side_by_side_share_no_address() -> None:
    local = CHECKOUT / "inventory" / "local"
    one, other = (load_hosts(local, {"local_lab_subnet": number}) for number in (0, 7))
    assert not {host.data.ip for host in one} & {host.data.ip for host in other}
    assert not {host.ssh.address for host in one} & {host.ssh.address for host in other}


def test_a_pool_leaves_out_the_edges_of_the_network_and_the_host_itself() -> None:
    data = DataPlane(device="d", address="198.19.0.2/29", pool="198.19.0.0/29")
    assert data.pool_addresses() == [f"198.19.0.{number}/29" for number in (1, 3, 4, 5, 6)]


def test_a_missing_inventory_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nowhere: there is no such inventory"):
        load_hosts(tmp_path / "nowhere")
    (tmp_path / "hosts.yml").write_text("all: [not, hosts]\n")
    with pytest.raises(BadInput, match="no host in this inventory"):
        load_hosts(tmp_path)
