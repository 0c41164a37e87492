"""The event catalogue: in step with the types, valid AsyncAPI 3, true of the events; and earlier ones are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgpack
import pytest
import yaml
from ezpath.asyncapi import as_yaml, document
from ezpath.catalogue import CHANNELS, KINDS, SAMPLE_KIND
from ezpath.eventpage import page
from ezpath.events import STREAM_SUBJECTS, decode, decode_sample, encode
from fuzz_events import EVENTS
from jsonschema import Draft7Validator, ValidationError
from recorded.events.record import committed, fields_of, values_today, written_today

ROOT = Path(__file__).parents[2]
ASYNCAPI = json.loads((ROOT / "tests/recorded/asyncapi/3.0.0.json").read_text())


def schema_of(name: str) -> dict[str, Any]:
    """An event's own, as JSON Schema."""
    return {"$ref": f"#/components/schemas/{name}", "components": document()["components"]}


class TestInStep:
    def test_the_committed_catalogue_is_what_the_types_say(self) -> None:
        assert (ROOT / "docs/asyncapi.yaml").read_text() == as_yaml(), "run `make events-doc` and commit docs/"
        assert (ROOT / "docs/EVENTS.md").read_text() == page(), "run `make events-doc` and commit docs/"

    def test_every_event_has_a_channel_and_an_example(self) -> None:
        assert set(KINDS) == {event.type for event in EVENTS} | {SAMPLE_KIND}

    def test_what_is_kept_is_what_the_stream_takes(self) -> None:
        for channel in CHANNELS:
            taken = any(channel.subject.startswith(subject.rstrip(">")) for subject in STREAM_SUBJECTS)
            assert taken == (channel.kept == "stream"), channel.address


class TestAsyncApi:
    def test_the_document_is_valid_asyncapi_3(self) -> None:
        written = yaml.safe_load((ROOT / "docs/asyncapi.yaml").read_text())
        Draft7Validator(ASYNCAPI).validate(written)

    def test_one_that_is_not_is_noticed(self) -> None:
        broken = document()
        broken["operations"]["decider.send.flows"]["action"] = "publish"
        with pytest.raises(ValidationError):
            Draft7Validator(ASYNCAPI).validate(broken)

    def test_all_references_lead_somewhere(self) -> None:
        made = document()
        text = json.dumps(made)
        for reference in {part.split('"')[0] for part in text.split('"$ref": "#/')[1:]}:
            place: Any = made
            for step in reference.split("/"):
                place = place[step]

    @pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)
    def test_an_event_fits_its_schema_and_a_damaged_one_does_not(self, event: Any) -> None:
        validator = Draft7Validator(schema_of(type(event).__name__))
        raw = json.loads(encode(event))
        validator.validate(raw)
        for damaged in ({**raw, "v": 2}, {**raw, "type": "x"}, {k: v for k, v in raw.items() if k != "type"}):
            with pytest.raises(ValidationError):
                validator.validate(damaged)

    def test_a_sample_s_schema_is_written_by_hand_and_has_all_its_fields(self) -> None:
        (packed,) = [bytes.fromhex(each["msgpack"]) for each in written_today() if "msgpack" in each]
        assert set(msgpack.unpackb(packed)) == set(document()["components"]["schemas"]["FlowSample"]["properties"])


class TestCompatibility:
    """Lines of tests/recorded/events/examples.jsonl never change: they are what programs out there have written."""

    @pytest.mark.parametrize("number", range(len(committed())))
    def test_what_was_written_before_is_read_and_nothing_of_it_is_lost(self, number: int) -> None:
        ((how, was),) = committed()[number].items()
        if how == "msgpack":
            assert decode_sample(bytes.fromhex(was)).switch == "tor1"
            return
        if how == "values":
            kind, name, *words = was
            most = next(line["most"] for line in committed() if "most" in line and line["most"]["type"] == kind)
            for word in words:
                event = decode(json.dumps({**most, name: word}).encode())
                assert json.loads(encode(event))[name] == word
            return
        again = json.loads(encode(decode(json.dumps(was).encode())))
        assert lost(was, again) == [], f"{was['type']}: a field was renamed, taken away or is read otherwise"

    def test_every_field_of_today_has_an_example(self) -> None:
        old: dict[str, set[str]] = {}
        for line in committed():
            for event in line.values():
                if isinstance(event, dict):
                    old.setdefault(event["type"], set()).update(fields_of(event))
        for line in written_today():
            for event in line.values():
                if isinstance(event, dict):
                    assert fields_of(event) <= old.get(event["type"], set()), (
                        f"{event['type']} has something new: run tests/recorded/events/record.py and commit the example"
                    )

    def test_every_word_that_a_field_may_be_today_has_an_example(self) -> None:
        for kind, name, *words in values_today():
            old = {w for line in committed() if line.get("values", [])[:2] == [kind, name] for w in line["values"][2:]}
            assert set(words) <= old, f"{kind}.{name}: run tests/recorded/events/record.py and commit the example"

    def test_a_field_that_becomes_required_would_be_noticed(self) -> None:
        least = [line["least"] for line in committed() if "least" in line]
        assert {event["type"] for event in least} == {event.type for event in EVENTS}
        most = {line["most"]["type"]: line["most"] for line in committed() if "most" in line}
        shorter = [event["type"] for event in least if set(event) < set(most[event["type"]])]
        assert len(shorter) >= 9, "the least examples have only what had to be there"


def lost(was: Any, now: Any, path: str = "") -> list[str]:
    """What ``was`` has and ``now`` does not, or has otherwise."""
    if isinstance(was, dict) and isinstance(now, dict):
        return [gone for name in was for gone in lost(was[name], now.get(name), f"{path}.{name}")]
    if isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        return [gone for one, other in zip(was, now, strict=True) for gone in lost(one, other, f"{path}[]")]
    return [] if was == now else [path]
