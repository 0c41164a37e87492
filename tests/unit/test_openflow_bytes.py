"""Rules in words to OpenFlow's bytes. That Open vSwitch means the same by them, the contract tests show."""

from __future__ import annotations

import pytest
from ezpath.names import Vni
from ezpath.ovs import openflow as of
from ezpath.ovs.flows import PRIORITY, Flow, Role, _parsed_meaning, _usual_meaning, cookie
from hypothesis import given
from hypothesis import strategies as st

MATCH = "in_port=11,vlan_tci=0x0000/0x1fff,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02"
SEND = Flow(
    cookie(Role.SEND, Vni(5001), MATCH), PRIORITY, MATCH, "push_vlan:0x8100,set_field:4196->vlan_vid,output:901"
)

macs = st.lists(st.integers(0, 255), min_size=6, max_size=6).map(lambda octets: ":".join(f"{o:02x}" for o in octets))
tags = st.one_of(
    st.just(",vlan_tci=0x0000/0x1fff"), st.integers(1, 4094).map(lambda vid: f",dl_vlan={vid}"), st.just("")
)


@given(st.integers(1, 65279), tags, st.one_of(st.none(), macs), st.one_of(st.none(), macs))
def test_the_usual_spelling_means_what_parsing_it_says(port, tag, src, dst):
    text = f"in_port={port}{tag}" + (f",dl_src={src}" if src else "") + (f",dl_dst={dst}" if dst else "")
    assert _usual_meaning(text) == _parsed_meaning(text)


@pytest.mark.parametrize("text", ["", "in_port=01", "in_port=LOCAL", "in_port=1,dl_dst=2:0:0:0:0:1", "dl_vlan=5", "ip"])
def test_an_unusual_spelling_is_left_to_the_parser(text):
    assert _usual_meaning(text) == ""


def test_each_rule_has_a_cookie_of_its_own_that_still_says_whose_it_is():
    other = Flow(cookie(Role.SEND, Vni(5001), MATCH + "x"), PRIORITY, MATCH, "drop")
    assert SEND.cookie != other.cookie
    assert (SEND.ours, SEND.role, SEND.vni) == (True, Role.SEND, 5001)


def test_a_bundle_is_opened_and_filled_and_each_message_has_its_number():
    data = of.bundle([of.Mod(of.Command.DELETE_STRICT, SEND), of.Mod(of.Command.ADD, SEND)], 7, 100)
    kinds, numbers = [], []
    while data:
        version, kind, length, xid = of.HEADER.unpack_from(data)
        assert version == 5
        kinds.append(kind)
        numbers.append(xid)
        data = data[length:]
    assert kinds == [of.Type.BUNDLE_CONTROL, of.Type.BUNDLE_ADD, of.Type.BUNDLE_ADD, of.Type.BARRIER_REQUEST]
    assert numbers == [100, 101, 102, 103]


@pytest.mark.parametrize(
    ("match", "actions"),
    [
        ("in_port=1,ip", "drop"),
        ("in_port=1,vlan_tci=0x1000/0x1000", "drop"),
        ("in_port=1", "resubmit(,3)"),
        ("in_port=1", "set_field:5->reg0"),
    ],
)
def test_what_our_rules_never_say_is_not_spoken(match, actions):
    with pytest.raises(of.Unspoken):
        of.found_of(Flow(1, 1, match, actions))


@pytest.mark.parametrize("length", [0, 3, 55])
def test_an_answer_that_is_too_short_for_what_it_says_is_no_endless_loop(length):
    body = b"\0\1\0\0\0\0\0\0" + length.to_bytes(2, "big") + bytes(54)
    with pytest.raises(ValueError):
        of.found_in(body)
