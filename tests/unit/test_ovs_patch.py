"""The patch pair's plan: names and numbers, from what the database shows."""

from __future__ import annotations

import pytest
from ezpath.ovs.errors import OvsMisfit
from ezpath.ovs.patch import FIRST_NUMBER, is_up, plan
from ezpath.ovs.view import Interface, OvsView


def view(*interfaces: Interface) -> OvsView:
    return OvsView(frozenset({"br-int", "br-phy"}), {interface.name: interface for interface in interfaces})


def patch_end(name: str, bridge: str, peer: str, ofport: int | None, **fields: object) -> Interface:
    return Interface(name, name, bridge, "patch", ofport, ours=True, peer=peer, **fields)  # type: ignore[arg-type]


def test_a_new_pair_gets_the_first_numbers_nobody_has_or_asks_for() -> None:
    pair = plan(
        view(
            Interface("c1", "c1", "br-int", ofport=FIRST_NUMBER),
            Interface("c2", "c2", "br-int", ofport_request=FIRST_NUMBER + 1),
        ),
        "br-int",
        "br-phy",
    )
    assert (pair.integration.number, pair.physical.number) == (FIRST_NUMBER + 2, FIRST_NUMBER)


def test_a_pair_that_is_there_keeps_its_numbers() -> None:
    there = view(patch_end("ezp-int", "br-int", "ezp-phy", 77), patch_end("ezp-phy", "br-phy", "ezp-int", 78))
    pair = plan(there, "br-int", "br-phy")
    assert (pair.integration.number, pair.physical.number) == (77, 78)
    assert is_up(there, pair)


@pytest.mark.parametrize(
    "wrong",
    [
        patch_end("ezp-int", "br-int", "elsewhere", 77),
        patch_end("ezp-int", "br-int", "ezp-phy", None),
        patch_end("ezp-int", "br-other", "ezp-phy", 77),
    ],
)
def test_a_pair_that_is_not_quite_right_is_not_up(wrong: Interface) -> None:
    there = view(wrong, patch_end("ezp-phy", "br-phy", "ezp-int", 78))
    assert not is_up(there, plan(there, "br-int", "br-phy"))


def test_a_port_of_that_name_that_is_not_ours_is_not_taken_over() -> None:
    with pytest.raises(OvsMisfit, match=r"port ezp-phy on bridge br-phy is not ezpath's.*ovs-vsctl del-port br-phy"):
        plan(view(Interface("ezp-phy", "ezp-phy", "br-phy", ofport=3)), "br-int", "br-phy")
