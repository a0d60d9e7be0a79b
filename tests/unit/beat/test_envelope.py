"""Envelopes: what was published comes back as it was, whatever it was."""

from __future__ import annotations

import string
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu import Connection, Exchange, Queue, binding

from habeat.beat.broker.envelope import Publication, Recorder, seal, unseal

X = Exchange("x", type="topic", durable=False, arguments={"alternate-exchange": "other"})
Q = Queue("q", X, routing_key="a.b", queue_arguments={"x-max-priority": 5}, expires=7.5)


def back(*messages: Publication) -> list[Publication]:
    return unseal(seal(list(messages)))


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.text(max_size=20)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=10,
)
headers = st.dictionaries(st.text(string.ascii_letters, min_size=1, max_size=8), values, max_size=5)


@given(st.one_of(st.binary(max_size=300), st.text(max_size=300)), headers)
def test_bodies_and_headers_come_back(body: bytes | str, given_headers: dict[str, Any]) -> None:
    message = Publication(
        body,
        "application/x",
        "utf-8",
        {"headers": given_headers, "routing_key": "k", "priority": 3},
    )
    (found,) = back(message)
    assert found.body == body
    assert type(found.body) is type(body)
    assert dict(found.arguments) == {**message.arguments, "declare": []}


def test_several_messages_keep_their_order() -> None:
    messages = [Publication(str(n), "text/plain", "utf-8", {}) for n in range(5)]
    assert [m.body for m in back(*messages)] == list("01234")


@pytest.mark.parametrize("exchange", ["", "x", X, Exchange("plain")])
def test_exchanges_come_back(exchange: Any) -> None:
    (found,) = back(Publication("b", "text/plain", "utf-8", {"exchange": exchange}))
    assert found.arguments["exchange"] == exchange


def test_what_is_to_be_declared_comes_back() -> None:
    (found,) = back(Publication("b", "text/plain", "utf-8", {"declare": [X, Q, Queue("bare")]}))
    exchange, queue, bare = found.arguments["declare"]
    assert exchange == X
    assert exchange.arguments == X.arguments
    assert queue == Q
    assert queue.exchange == X
    assert queue.queue_arguments == Q.queue_arguments
    assert queue.expires == Q.expires
    assert bare.name == "bare"


def test_a_queue_with_bindings_comes_back() -> None:
    bound = Queue("q", bindings=[binding(X, routing_key="one"), binding(X, routing_key="two")])
    (found,) = back(Publication("b", "text/plain", "utf-8", {"declare": [bound]}))
    (queue,) = found.arguments["declare"]
    assert {b.routing_key for b in queue.bindings} == {"one", "two"}


def test_times_in_headers_come_back() -> None:
    at = datetime(2025, 6, 1, 12, 30, tzinfo=UTC)
    (found,) = back(Publication("b", "text/plain", "utf-8", {"headers": {"eta": at}}))
    assert found.arguments["headers"]["eta"] == at


@pytest.mark.parametrize("header", [object(), {1, 2}.__iter__()])
def test_what_cannot_be_kept_is_an_error_of_rendering(header: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        seal([Publication("b", "text/plain", "utf-8", {"headers": {"x": header}})])


@pytest.mark.parametrize("envelope", [b"", b"{", b"[]", b'{"v": 2, "messages": []}', b"\xff"])
def test_what_is_no_envelope_is_reported(envelope: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        unseal(envelope)


def test_a_recorder_keeps_what_a_producer_is_given() -> None:
    recorder = Recorder(Connection("memory://"))
    given_headers = {"a": 1}
    recorder.publish(
        {"x": 1}, serializer="json", exchange="e", routing_key="k", headers=given_headers,
        retry=True, retry_policy={"max_retries": 9}, delivery_mode=2, expiration=None,
    )  # fmt: skip
    (kept,) = recorder.published
    assert kept.content_type == "application/json"
    assert set(kept.arguments) == {"exchange", "routing_key", "headers", "delivery_mode"}
    kept.arguments["headers"]["b"] = 2
    assert given_headers == {"a": 1}
