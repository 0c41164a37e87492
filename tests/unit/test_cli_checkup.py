"""What `ezpath doctor` says of what it found: whatever is wrong comes with a remedy."""

from __future__ import annotations

from dataclasses import replace

from ezpath.answers import ServiceStatus
from ezpath.cli.checkup import Machine, Mtus, of_machine, of_mtus, of_nats, of_services

GOOD = Machine("6.1.0-18-amd64", True, "Debian clang version 14", True, "ovs-vswitchd 3.1", True)


def grades(findings) -> dict[str, str]:
    found = list(findings)
    assert all(each.remedy for each in found if each.grade != "ok")
    return {each.what: each.grade for each in found}


def test_a_machine_that_has_everything():
    assert grades(of_machine(GOOD)) == {"kernel": "ok", "root": "ok", "clang": "ok", "ovs": "ok"}


def test_what_a_machine_lacks():
    assert grades(of_machine(replace(GOOD, kernel="5.4.0-150-generic")))["kernel"] == "wrong"
    assert grades(of_machine(replace(GOOD, kernel="5.13")))["kernel"] == "ok"
    assert grades(of_machine(replace(GOOD, root=False)))["root"] == "note"
    assert grades(of_machine(replace(GOOD, clang="")))["clang"] == "wrong"
    assert grades(of_machine(replace(GOOD, bpf_headers=False)))["clang"] == "wrong"
    assert grades(of_machine(replace(GOOD, ovs="")))["ovs"] == "wrong"
    assert grades(of_machine(replace(GOOD, ovs_datapath=False)))["ovs"] == "note"


def test_nats():
    assert grades(of_nats("u", "", "2.11.1", True, 0.2)) == {"nats": "ok", "jetstream": "ok", "clock": "ok"}
    assert grades(of_nats("u", "refused", "", False, None)) == {"nats": "wrong"}
    assert grades(of_nats("u", "", "2.10.29", True, None))["nats"] == "wrong"
    assert grades(of_nats("u", "", "2.12.0", False, None))["jetstream"] == "wrong"
    assert grades(of_nats("u", "", "2.12.0", True, -5.0))["clock"] == "wrong"


def test_a_service_s_clock_is_judged_by_when_its_answer_can_have_been_given():
    status = ServiceStatus("decider", "m-1", "0.1.0", 1.0, 100.0, True)
    assert grades(of_services([status], 99.5, 100.5)) == {"clock": "ok"}
    assert grades(of_services([status], 90.0, 110.0)) == {"clock": "ok"}, "a slow answer is no wrong clock"
    assert grades(of_services([status], 97.0, 98.0)) == {"clock": "wrong"}
    (behind,) = of_services([status], 103.0, 104.0)
    assert "3.0 s behind" in behind.said


def test_an_endpoint_s_frames_have_to_fit_on_the_uplink_with_vxlan():
    assert grades(of_mtus(Mtus("h1", "eth0", 1550, {"red-a": 1500}))) == {"mtu": "ok"}
    (found,) = of_mtus(Mtus("h1", "eth0", 1500, {"red-a": 1500, "red-b": 1450}))
    assert (found.grade, found.remedy) == ("wrong", "ip link set eth0 mtu 1550, or 1450 inside the container")
    assert grades(of_mtus(Mtus("h1", "eth9", None, {})))["mtu"] == "note"
