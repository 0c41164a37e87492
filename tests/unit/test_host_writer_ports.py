"""Which OpenFlow ports a host's rules need, and what is said where one is missing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ezpath.inventory import Host, parse
from ezpath.names import HostName, Mac, Vni
from ezpath.ovs.errors import OvsMisfit, OvsUnreachable
from ezpath.ovs.patch import PatchEnd, PatchPair
from ezpath.ovs.view import Interface, OvsView
from ezpath.tls import TlsFiles
from ezpath_host_writer.ports import resolve
from ezpath_host_writer.reaching import bridge_of, reach_of
from ezpath_host_writer.rules import Ports
from network import NETWORK

INVENTORY = parse(NETWORK)
HOST = INVENTORY.hosts[HostName("h21")]
ENDPOINTS = [endpoint for endpoint in INVENTORY.endpoints.values() if endpoint.host == "h21"]
RED, BLUE, MAC = Vni(5001), Vni(5002), Mac("02:00:00:00:00:03")
PAIR = PatchPair(PatchEnd("br-int", "ezp-int", "ezp-phy", 901), PatchEnd("br-phy", "ezp-phy", "ezp-int", 902))
UPLINK = Interface("eth0", "eth0", "br-phy", ofport=1)
RED3, BLUE3 = Interface("red3", "red3", "br-int", ofport=11), Interface("blue3", "blue3", "br-int", ofport=12)


def ports_of(*interfaces: Interface, bridges: tuple[str, ...] = ("br-int", "br-phy"), host: Host = HOST) -> Ports:
    view = OvsView(frozenset(bridges), {interface.name: interface for interface in interfaces})
    return resolve(view, host, ENDPOINTS, PAIR)


def missing(*interfaces: Interface) -> str:
    """What is said about tenant red's endpoint."""
    return ports_of(UPLINK, BLUE3, *interfaces).missing[(RED, MAC)]


def test_all_ports_of_a_host_are_found() -> None:
    assert ports_of(UPLINK, RED3, BLUE3) == Ports(901, 902, 1, {(RED, MAC): 11, (BLUE, MAC): 12})


def test_an_interface_is_found_by_its_iface_id() -> None:
    by_id = Interface("veth77", "veth77", "br-int", ofport=11, iface_id="red3")
    assert ports_of(UPLINK, by_id, BLUE3).endpoints[(RED, MAC)] == 11


def test_of_two_with_the_same_iface_id_the_one_that_is_up_is_taken() -> None:
    old = Interface("veth1", "veth1", "br-int", ofport=None, iface_id="red3", error="No such device")
    new = Interface("veth2", "veth2", "br-int", ofport=11, iface_id="red3")
    assert ports_of(UPLINK, BLUE3, old, new).endpoints[(RED, MAC)] == 11
    assert "interfaces veth1, veth2 on bridge br-int all have" in missing(replace(old, ofport=10), new)


def test_what_is_missing_is_one_endpoints_own_trouble_and_named() -> None:
    words = missing()
    assert "host h21" in words
    assert "is named red3" in words
    assert "external_ids:iface-id" in words
    assert "endpoint red-3" in words
    assert ports_of(UPLINK, BLUE3).endpoints == {(BLUE, MAC): 12}


def test_an_interface_without_number_says_why() -> None:
    assert "red3 on bridge br-int has no OpenFlow number: No such device" in missing(
        replace(RED3, ofport=None, error="No such device")
    )
    assert "ovs-vswitchd has not brought it up yet" in missing(replace(RED3, ofport=None))


def test_an_interface_on_another_bridge_is_named_with_it() -> None:
    assert "red3 is on bridge br-ext, not on br-int" in missing(replace(RED3, bridge="br-ext"))


@pytest.mark.parametrize(
    ("interfaces", "bridges", "complaint"),
    [
        ((UPLINK,), ("br-phy",), r"no bridge br-int \(it has: br-phy\).*hosts\.h21\.integration_bridge"),
        ((UPLINK,), (), r"no bridge br-int \(it has: none\)"),
        ((UPLINK,), ("br-int",), r"no bridge br-phy.*ovs-vsctl add-br br-phy"),
        ((), ("br-int", "br-phy"), r"br-phy has no port eth0: there is none of that name.*hosts\.h21\.uplink"),
        ((replace(UPLINK, bridge="br-int"),), ("br-int", "br-phy"), r"br-phy has no port eth0: it is on br-int"),
        ((replace(UPLINK, ofport=None, error="gone"),), ("br-int", "br-phy"), r"eth0 .* no OpenFlow number: gone"),
    ],
)
def test_what_is_missing_on_the_host_as_a_whole_is_refused(
    interfaces: tuple[Interface, ...], bridges: tuple[str, ...], complaint: str
) -> None:
    with pytest.raises(OvsMisfit, match=complaint):
        ports_of(*interfaces, bridges=bridges)


def test_sockets_are_beside_the_database_unless_it_is_elsewhere() -> None:
    no_tls = TlsFiles("--ovs")
    assert reach_of(HOST, no_tls).bridge("br-int") == "unix:/run/h21/br-int.mgmt"
    configured = replace(HOST, config=HOST.config.model_copy(update={"run_dir": "/run/ovs"}))
    assert reach_of(configured, no_tls).bridge("br-int") == "unix:/run/ovs/br-int.mgmt"
    openflow = {"br-int": "ssl:192.0.2.1:6653"}
    there = {"ovsdb": "ssl:192.0.2.1:6640", "openflow": openflow}
    remote = reach_of(replace(HOST, config=HOST.config.model_copy(update=there)), no_tls)
    assert (remote.bridge("br-int"), remote.known(["br-int", "br-ext"])) == (openflow["br-int"], ["br-int"])
    with pytest.raises(OvsUnreachable, match=r"ssl:192\.0\.2\.1:6640, where bridge br-ext .* Give the host's run_dir"):
        bridge_of("br-ext", remote)
