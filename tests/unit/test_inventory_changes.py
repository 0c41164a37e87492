"""Endpoints that come, go and move: what is different, what several sources come to, what is published of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ezpath.inventory import Changes, Endpoint, Inventory, difference, parse
from ezpath.inventory.document import EndpointConfig
from ezpath.inventory.merging import merge
from ezpath.live.records import ALL, Listing, all_of, by_host, from_json, to_all, to_json
from ezpath.names import EndpointName, HostName, Mac, Vni
from hypothesis import given, settings
from hypothesis import strategies as st
from network import NETWORK

INVENTORY = parse(NETWORK)


def endpoint(inventory: Inventory, name: str) -> Endpoint:
    return inventory.endpoints[EndpointName(name)]


def config(name: str, **other: object) -> EndpointConfig:
    fields = {"name": name, "tenant": "red", "mac": "02:00:00:00:01:00", "ip": "10.0.1.0", "host": "h11"}
    return EndpointConfig.model_validate({**fields, "interface": name, **other})


# ---- what is different ---------------------------------------------------------


def test_given_nothing_new_then_no_changes(inventory: Inventory) -> None:
    assert not difference(inventory.endpoints, inventory.with_endpoints(inventory.endpoints.values()).endpoints)


@pytest.mark.parametrize("other", [{"host": HostName("h12")}, {"mac": Mac("02:00:00:00:00:99")}, {"vni": Vni(7)}])
def test_given_another_place_or_address_then_it_moved(inventory: Inventory, other: dict[str, object]) -> None:
    there = replace(endpoint(inventory, "red-1"), **other)  # type: ignore[arg-type]
    after = {**inventory.endpoints, there.name: there}
    assert difference(inventory.endpoints, after) == Changes(moved=(there.name,))


@pytest.mark.parametrize("other", [{"importance": 4.0}, {"kind": "db"}, {"interface": "eth7"}, {"source": "docker"}])
def test_given_what_no_entry_depends_on_then_it_only_changed(inventory: Inventory, other: dict[str, object]) -> None:
    there = replace(endpoint(inventory, "red-1"), **other)  # type: ignore[arg-type]
    assert difference(inventory.endpoints, {**inventory.endpoints, there.name: there}).changed == (there.name,)


def test_given_one_that_came_and_one_that_went_then_both_are_named(inventory: Inventory) -> None:
    new = replace(endpoint(inventory, "red-1"), name=EndpointName("red-9"))
    after = {**{n: e for n, e in inventory.endpoints.items() if n != "red-2"}, new.name: new}
    changes = difference(inventory.endpoints, after)
    assert changes == Changes(added=(new.name,), gone=(EndpointName("red-2"),))
    assert changes.counts() == {"added": 1, "gone": 1}


# ---- several sources -------------------------------------------------------------


def test_given_sources_then_their_endpoints_stand_beside_the_files(inventory: Inventory) -> None:
    merged = merge(inventory, inventory.document.endpoints, {"docker-h11": [config("web", importance=3.0, kind="web")]})
    assert not merged.problems
    web = {e.name: e for e in merged.endpoints}[EndpointName("web")]
    assert (web.source, web.vni, web.importance, web.kind) == ("docker-h11", 5001, 3.0, "web")
    assert len(merged.endpoints) == len(inventory.endpoints) + 1


CONFLICTS = {
    "name": (config("red-1"), "endpoint red-1 is listed twice"),
    "mac": (config("web", mac="02:00:00:00:00:01"), "02:00:00:00:00:01 is endpoint red-1's already, of tenant red"),
    "ip": (config("web", ip="10.0.0.1"), "10.0.0.1 is endpoint red-1's already, of tenant red"),
    "interface": (config("web", interface="red1"), "red1 is endpoint red-1's already, of host h11"),
    "host": (config("web", host="h99"), "unknown host h99. Known hosts: h11, h12, h21, h22"),
    "tenant": (config("web", tenant="gray"), "unknown tenant gray. Known tenants: red, blue"),
}


@pytest.mark.parametrize("field", CONFLICTS)
def test_given_two_that_claim_the_same_then_the_first_has_it_and_the_other_is_said(
    inventory: Inventory, field: str
) -> None:
    claimed, cause = CONFLICTS[field]
    merged = merge(inventory, inventory.document.endpoints, {"docker-h11": [claimed]})
    assert merged.endpoints == tuple(inventory.endpoints.values())
    (problem,) = merged.problems
    assert problem.startswith(f"docker-h11: endpoint {claimed.name} left out: {cause}")


def test_given_one_that_is_left_out_then_it_claims_nothing(inventory: Inventory) -> None:
    spoilt, good = config("web", host="h99"), config("web")
    merged = merge(inventory, (), {"one": [spoilt], "other": [good]})
    assert [e.source for e in merged.endpoints] == ["other"]


# ---- what is published -----------------------------------------------------------


@given(st.permutations(range(7)))
@settings(deadline=None)
def test_given_any_order_then_the_same_documents_and_all_comes_back(order: list[int]) -> None:
    inventory = INVENTORY
    endpoints = list(inventory.endpoints.values())
    documents = by_host([endpoints[number] for number in order], inventory.hosts)
    assert documents == by_host(endpoints, inventory.hosts)
    assert all_of({**documents, ALL: to_all(inventory.hosts)}) == inventory.endpoints


HOSTS = [HostName("h11"), HostName("h12")]


def test_given_documents_that_change_together_then_they_are_taken_over_together(inventory: Inventory) -> None:
    here = endpoint(inventory, "red-1")
    there = replace(here, host=HostName("h12"))
    listing = Listing()
    # the first publication: nothing before all of it is there
    assert not listing.enter("host.h11", to_json([here]))
    assert not listing.enter("host.h12", to_json([]))
    assert not listing.endpoints()
    assert listing.enter(ALL, to_all(HOSTS))
    assert listing.endpoints() == {here.name: here}
    # it moves: at no time is it nowhere
    assert not listing.enter("host.h11", to_json([]))
    assert listing.endpoints() == {here.name: here}
    assert not listing.enter("host.h12", to_json([there]))
    assert listing.enter(ALL, to_all(HOSTS))
    assert listing.endpoints() == {here.name: there}


def test_given_a_publisher_that_died_in_the_middle_then_the_next_one_is_waited_for(inventory: Inventory) -> None:
    here = endpoint(inventory, "red-1")
    listing = Listing()
    # what h11 had before is overwritten: it comes after the word that all were there
    listing.enter("host.h12", to_json([]))
    assert not listing.enter(ALL, to_all(HOSTS))
    listing.enter("host.h11", to_json([here]))
    assert not listing.endpoints()
    assert listing.enter(ALL, to_all(HOSTS))
    assert listing.endpoints() == {here.name: here}


def test_given_a_host_that_is_no_more_then_neither_is_what_was_there(inventory: Inventory) -> None:
    listing = Listing()
    listing.enter("host.h11", to_json([endpoint(inventory, "red-1")]))
    listing.enter("host.h12", to_json([endpoint(inventory, "red-2")]))
    listing.enter(ALL, to_all(HOSTS))
    assert listing.enter(ALL, to_all(HOSTS[1:]))
    assert set(listing.endpoints()) == {"red-2"}


def test_given_a_bucket_that_was_not_filled_to_the_end_then_nothing_was_published(inventory: Inventory) -> None:
    documents = {"host.h11": to_json([endpoint(inventory, "red-1")])}
    assert all_of({}) is None
    assert all_of(documents) is None
    assert all_of({**documents, ALL: to_all(HOSTS)}) is None
    whole = all_of({**documents, "host.h12": b"spoilt", ALL: to_all(HOSTS)})
    assert whole is not None and set(whole) == {"red-1"}


def test_given_one_address_in_two_documents_then_the_newest_word_counts(inventory: Inventory) -> None:
    """A publisher died in the middle: who had the address is still there, beside who has it now."""
    had = endpoint(inventory, "red-1")
    has = replace(had, name=EndpointName("red-9"), host=HostName("h12"))
    both = all_of({"host.h11": to_json([had]), "host.h12": to_json([has]), ALL: to_all(HOSTS)})
    assert both == {has.name: has}


@pytest.mark.parametrize("document", [b"[", b"{}", b'{"v":1}', b'{"v":1,"hosts":7}', b'{"v":1,"hosts":["*"]}'])
def test_given_a_spoilt_word_that_all_is_there_then_it_is_refused(document: bytes) -> None:
    listing = Listing()
    listing.enter("host.h11", to_json([]))
    with pytest.raises(ValueError, match=r"version 1|not JSON|all\.hosts"):
        listing.enter(ALL, document)


def test_given_an_endpoint_on_a_host_that_a_service_does_not_know_then_it_is_left_out(inventory: Inventory) -> None:
    elsewhere = replace(endpoint(inventory, "red-1"), host=HostName("h99"))
    assert not inventory.with_endpoints([elsewhere]).endpoints


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (b"[", "not JSON: Expecting"),
        (b"[]", "no document of version 1"),
        (b'{"v":2,"endpoints":[]}', "no document of version 1"),
        (b'{"v":1}', "tuple"),
        (b'{"v":1,"endpoints":[{"name":"x"}]}', "endpoints.0.tenant"),
        (to_json([replace(endpoint(INVENTORY, "red-1"), mac=Mac("x" * 9999))]), "endpoints.0.mac: Value error"),
        (to_json([replace(endpoint(INVENTORY, "red-1"), importance=float("inf"))]), "endpoints.0.importance"),
        (to_json([replace(endpoint(INVENTORY, "red-1"), vni=Vni(2**24))]), "endpoints.0.vni"),
        (b"[" * 100_000, "nested too deep"),
    ],
)
def test_given_what_is_no_document_then_it_is_refused_and_what_was_known_stays(document: bytes, words: str) -> None:
    known = to_json([endpoint(INVENTORY, "red-1")])
    assert len(from_json(known)) == 1
    listing = Listing()
    listing.enter("host.h11", known)
    listing.enter(ALL, to_all(HOSTS[:1]))
    with pytest.raises(ValueError, match=words) as refused:
        listing.enter("host.h11", document)
    assert len(str(refused.value)) < 1000
    assert set(listing.endpoints()) == {"red-1"}
