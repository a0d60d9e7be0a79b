"""Stored definitions, requests and states of any content: read, or refused by an error of ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from kombu.utils import json as kombu_json

from habeat.core.entry import Entry, EntryState
from habeat.core.request import Request
from habeat.entries import storable
from habeat.entries.codec import (
    decode,
    decode_request,
    encode,
    encode_checked,
    encode_request,
    read_state,
    with_facts,
)
from habeat.entries.fields import DEFINITION, validated
from habeat.errors import DefinitionError, ValidationError
from habeat.schedules import every
from habeat.store.calling import optional_ms, text
from habeat.store.pipelining import packed, wire

PLAIN = json.loads(encode(Entry("e", "proj.a", every(5))))
REQUEST = json.loads(encode_request(Request("backfill", "e", 5, end_ms=9)))
SECRET = "s3cret"

HOSTILE: list[Any] = [
    None, True, -1, 0.5, 1e300, 10**18, 2**70, "", SECRET, [], {}, [[]], {"a": 1},
    {"__type__": "decimal", "__value__": SECRET}, {"__type__": SECRET, "__value__": 1},
    {"__type__": "datetime", "__value__": SECRET}, {"__type__": [], "__value__": 1},
]  # fmt: skip
RAW = [
    b"", b"null", b"[]", b"7", b'"a"', b"\xff\xfe", b"{", b"[" * 10_000, b'{"a":' * 10_000,
    b"9" * 5_000, b'{"v": ' + b"9" * 5_000 + b"}", b"NaN", b'{"v": 1}', b'{"v": 2}', b"\0", b"\n",
    json.dumps({**PLAIN, "args": [1]}).encode().replace(b"[1]", b"[" * 150 + b"]" * 150),
    json.dumps({**PLAIN, "args": [1]}).encode().replace(b"[1]", b"[" + b"9" * 5_000 + b"]"),
]  # fmt: skip


@pytest.mark.parametrize("raw", RAW, ids=lambda raw: repr(raw[:20]))
def test_what_is_no_record_of_ours(raw: bytes) -> None:
    for read in (lambda: decode("e", raw), lambda: decode_request(raw)):
        with pytest.raises(DefinitionError) as caught:
            read()
        assert len(caught.value.why) < 600


FIELDS = sorted({*DEFINITION, *PLAIN})


@pytest.mark.parametrize("field", FIELDS)
def test_any_value_in_any_field_is_read_or_refused(field: str) -> None:
    raws = [json.dumps({**PLAIN, field: value}).encode() for value in HOSTILE]
    found = [outcome(lambda raw=raw: decode("e", raw)) for raw in raws]
    for entry in (each for each in found if isinstance(each, Entry)):
        assert validated(entry).condition
        assert encode(entry)
    refused = [str(each) for each in found if isinstance(each, DefinitionError)]
    assert refused, f"no value of {field} is refused"
    assert field in ("schedule", "misfire", "delivery") or not any(
        SECRET in line for line in refused
    )


@pytest.mark.parametrize("field", sorted(REQUEST))
def test_any_value_in_any_field_of_a_request(field: str) -> None:
    raws = [json.dumps({**REQUEST, field: value}).encode() for value in HOSTILE]
    found = [outcome(lambda raw=raw: decode_request(raw)) for raw in raws]
    assert all(0 < each.pace <= 1_000 for each in found if isinstance(each, Request))
    refused = [str(each) for each in found if isinstance(each, DefinitionError)]
    assert refused, f"no value of {field} is refused"
    assert not any(SECRET in line for line in refused)


def outcome(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except DefinitionError as error:
        return error


def test_a_pace_beyond_all_measure_is_refused() -> None:
    for pace in ("1e18", "0", "-1", "NaN", "Infinity", '"fast"'):
        raw = json.dumps({**REQUEST, "pace": 1}).replace('"pace": 1', f'"pace": {pace}')
        with pytest.raises(DefinitionError, match="pace"):
            decode_request(raw.encode())


def test_the_path_to_what_cannot_be_read_is_named_and_not_the_value() -> None:
    bad = {"amount": [{"__type__": "decimal", "__value__": SECRET}]}
    raw = json.dumps({**PLAIN, "kwargs": bad}).encode()
    with pytest.raises(DefinitionError, match=r'kwargs\["amount"\]\[0\]') as caught:
        decode("e", raw)
    assert SECRET not in str(caught.value)
    entry = Entry("e", "proj.a", every(5), kwargs=bad)
    order = Request("trigger", "e", 5, kwargs=bad)
    for refused in (lambda: encode_checked(entry), lambda: encode_request(order)):
        with pytest.raises(ValidationError, match=r'kwargs\["amount"\]\[0\]') as given:
            refused()
        assert SECRET not in str(given.value)


def test_nesting_is_bounded() -> None:
    def nested(levels: int) -> list[Any]:
        value: list[Any] = []
        for _ in range(levels):
            value = [value]
        return value

    encode_checked(Entry("e", "proj.a", every(5), args=(nested(50),)))
    for levels in (101, 5_000):
        with pytest.raises(ValidationError, match="100 levels"):
            encode_checked(Entry("e", "proj.a", every(5), args=(nested(levels),)))


@pytest.mark.parametrize(
    "raw",
    ["", "x", "1|2", "9" * 5_000 + "||||0", "1||||" + "9" * 5_000, "1|" + "9" * 16 + "|||0",
     "1|||" + "9" * 15 + "|0", "-||||0", "1||||", "1.5||||0", "inf||||0", "٣||||0", "1||||0\n"],
)  # fmt: skip
def test_a_state_that_cannot_be_read(raw: str) -> None:
    assert read_state(raw) is None


def test_a_state_that_can() -> None:
    assert read_state("5|7|1:a|3|2") == EntryState(5, 7, None, 3, 2)
    assert read_state("-5||||0") == EntryState(-5)


@pytest.mark.parametrize("raw", ["x", "[]", "[" * 9_999, '{"reason": 1, "until_ms": 1e300}',
    '{"reason": ["a"], "at_ms": "x", "until_ms": ' + "9" * 5_000 + "}"])  # fmt: skip
def test_what_stands_in_paused_is_a_pause(raw: str) -> None:
    state = with_facts(EntryState(), due_ms=None, paused=raw, quarantined="", failing=False)
    assert (state.paused, state.paused_at_ms, state.paused_until_ms) == ("", None, None)


@pytest.mark.parametrize("raw", [b"inf", b"-inf", b"nan", b"", b"x", b"1e18", b"\xff"])
def test_what_is_no_instant(raw: bytes) -> None:
    assert optional_ms(raw) is None


def test_a_name_of_any_bytes_leads_back_to_them() -> None:
    for raw in (b"\xff\xfe", b"a\x80", b"caf\xc3\xa9", b"\xed\xa0\x80"):
        assert wire(text(raw)) == raw
        assert raw in packed([text(raw)])
    assert wire("\ud800") == b"\\ud800"
    with pytest.raises(DefinitionError, match="UTF-8"):
        decode(text(b"\xff"), json.dumps(PLAIN).encode())


def test_what_is_plain_has_no_faults_and_what_has_faults_is_not_plain() -> None:
    sound = [None, True, 5, -(2**62), 0.5, "é", [], {"a": [1, {"b": "c"}]}, ("x",)]
    for value in sound:
        assert storable.is_plain(value)
        assert list(storable.faults(value)) == []
    deep: list[Any] = []
    for _ in range(200):
        deep = [deep]
    bad = [deep, {"a": "\ud800"}, {"\ud800": 1}, float("nan"), [float("inf")], 2**2_100, object()]
    for value in (*bad, *HOSTILE[-4:]):
        assert not storable.is_plain(value)
        assert list(storable.faults(value))


def test_keys_keep_their_order_as_in_celerys_json() -> None:
    given = {"z": 1, "a": {"y": 1, 5: 2, "b": [{"d": 1, "c": 2}]}}
    as_sent = kombu_json.dumps(given)
    entry = Entry("a", "proj.a", every(60), args=(given,), kwargs=given, options={"headers": given})
    read = decode("a", encode(entry))
    for value in (read.args[0], read.kwargs, read.options["headers"]):
        assert kombu_json.dumps(value) == as_sent
    request = decode_request(encode_request(Request("trigger", "a", 5, kwargs=given)))
    assert kombu_json.dumps(request.kwargs) == as_sent
