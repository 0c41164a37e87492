"""The lab's description: what it promises about addresses, and that EZPath accepts it as an inventory."""

from __future__ import annotations

from pathlib import Path

import yaml
from ezpath_lab.ovs_host import overlay_flows
from ezpath_lab.topology import inventory_document, two_racks

from ezpath import inventory


def test_ezpath_accepts_the_lab_as_its_inventory() -> None:
    # Given the lab's description
    topology = two_racks()

    # When it is written as an inventory and read back by EZPath
    text = yaml.safe_dump(inventory_document(topology, Path("/run/lab")))
    found = inventory.parse(text)

    # Then all of it is there
    assert len(found.switches) == 2
    assert len(found.hosts) == 4
    assert set(found.endpoints) == {container.name for container in topology.containers}


def test_tenants_share_addresses_ip_and_mac() -> None:
    topology = two_racks()
    addresses = {
        tenant.name: {(c.ip, c.mac) for c in topology.of_tenant(tenant.name) if "-m" not in c.name}
        for tenant in topology.tenants
    }

    assert addresses["red"] == addresses["blue"]
    assert len(addresses["red"]) == 4


def test_each_tenant_has_addresses_that_the_other_has_not() -> None:
    """Isolation is tried on these."""
    topology = two_racks()
    red, blue = ({c.ip for c in topology.of_tenant(name)} for name in ("red", "blue"))

    assert red - blue
    assert blue - red


def test_interface_names_fit_the_kernel_and_port_numbers_are_unique_on_a_host() -> None:
    topology = two_racks()

    assert all(len(container.interface) <= 15 for container in topology.containers)
    for host in topology.hosts:
        numbers = [container.ofport for container in topology.on_host(host.name)]
        assert len(set(numbers)) == len(numbers)


def test_the_overlay_sends_a_tenants_broadcast_to_its_hosts_only() -> None:
    # Given the overlay's flows on h11; blue's containers are on all hosts, and so are red's
    topology = two_racks()
    flows = list(overlay_flows(topology, topology.host("h11")))

    # When the flows for red's broadcasts are looked at
    sent = [flow for flow in flows if "table=10" in flow and "reg0=5001,dl_dst=01:00" in flow]
    delivered = [flow for flow in flows if "table=11" in flow and "reg0=5001,dl_dst=01:00" in flow]

    # Then they go to the three other hosts with red's VNI, and here to red's two containers and to no other port
    assert [flow.count("set_field:5001->tun_id") for flow in sent] == [3]
    mine = {c.ofport for c in topology.on_host("h11") if c.tenant == "red"}
    assert [flow.partition("actions=")[2] for flow in delivered] == [
        ",".join(f"output:{port}" for port in sorted(mine))
    ]
    assert len(mine) == 2
