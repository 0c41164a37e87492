"""`ezpath doctor` on a host whose Open vSwitch is real: MTUs as it tells them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_process import ezpath
from contract.ovs_machine import OvsMachine
from network import NETWORK

pytest_plugins = ["contract.ovs_fixture"]
pytestmark = pytest.mark.root


async def test_an_endpoint_whose_frames_do_not_fit_with_vxlan_is_named_with_what_to_do(
    machine: OvsMachine, bus, nats_server, tmp_path: Path
) -> None:
    # Given an uplink and two containers on a host, all with an MTU of 1500
    machine.vsctl("--may-exist", "add-br", "br-phy", "--", "--may-exist", "add-br", "br-int")
    machine.plug("br-phy", "up0")
    machine.plug("br-int", "red1")
    file = tmp_path / "network.yaml"
    file.write_text(NETWORK.replace('ovsdb: "unix:/run/h11/db.sock"', f'ovsdb: "{machine.remote}", uplink: up0'))
    # When somebody asks, then the one that is plugged in is named, and hosts that do not answer are no mistake
    code, out, err = await ezpath("doctor", "--inventory", str(file), "--nats", nats_server.url, "--json")
    found = [json.loads(line) for line in out.splitlines()]
    assert code == 1, err
    (wrong,) = [each for each in found if each["grade"] == "wrong"]
    assert wrong["what"] == "mtu"
    assert wrong["said"] == "host h11: red1 has 1500, 1550 with VXLAN, and up0 takes 1500"
    assert wrong["remedy"] == "ip link set up0 mtu 1550, or 1450 inside the container"
    assert len([each for each in found if each["what"] == "mtu" and each["grade"] == "note"]) == 3
    assert {each["what"]: each["grade"] for each in found}["jetstream"] == "ok"
    assert [each["grade"] for each in found if each["what"] == "clock"] == ["ok"]
