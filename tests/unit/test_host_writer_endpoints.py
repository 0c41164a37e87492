"""Whose ports a host's rules may need: who is there, and who was, for as long as a rule speaks of them."""

from __future__ import annotations

from dataclasses import replace

from ezpath.inventory import Inventory
from ezpath.items import ReceiveRule, SendRule
from ezpath.names import EndpointName, Mac, VlanId, Vni
from ezpath_host_writer.endpoints import needed

TAG, OTHER = VlanId(100), Mac("02:00:00:00:00:03")


def test_given_one_that_went_then_it_is_known_until_no_rule_speaks_of_it(inventory: Inventory) -> None:
    one, stays = inventory.endpoints[EndpointName("red-1")], inventory.endpoints[EndpointName("red-5")]
    send, receive = SendRule(one.vni, one.mac, OTHER, TAG), ReceiveRule(one.vni, TAG, one.mac)
    assert needed([stays], [one, stays], [send]) == (stays, one)
    assert needed([stays], [stays, one], [receive]) == (stays, one)
    assert needed([stays], [stays, one], []) == (stays,)
    assert needed([stays], [stays, one], [replace(send, src=OTHER, dst=one.mac)]) == (stays,), "it is only spoken to"
    assert needed([stays], [stays, one], [replace(send, vni=Vni(5002))]) == (stays,), "another tenant's"


def test_given_an_interface_that_is_somebody_elses_now_then_the_old_one_does_not_get_it(inventory: Inventory) -> None:
    one = inventory.endpoints[EndpointName("red-1")]
    successor = replace(inventory.endpoints[EndpointName("blue-1")], interface=one.interface)
    assert needed([successor], [one], [ReceiveRule(one.vni, TAG, one.mac)]) == (successor,)


def test_given_another_interface_then_the_new_one_counts(inventory: Inventory) -> None:
    one = inventory.endpoints[EndpointName("red-1")]
    now = replace(one, interface="veth9")
    assert needed([now], [one], [ReceiveRule(one.vni, TAG, one.mac)]) == (now,)
