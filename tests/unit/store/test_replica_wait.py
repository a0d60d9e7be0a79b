"""WAIT is sent with its script over one connection: on another, it would answer for no writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis
from redis.exceptions import NoScriptError

from habeat.store.replica_wait import run_and_wait
from habeat.store.scripting import script


class Wire:
    """A pool of one connection, and what went over it."""

    def __init__(self, answers: list[Any]) -> None:
        self.answers = answers
        self.packets: list[bytes] = []
        self.taken = self.released = self.closed = 0

    def get_connection(self, *_: Any) -> Wire:
        self.taken += 1
        return self

    def release(self, _: Any) -> None:
        self.released += 1

    def send_packed_command(self, words: list[bytes], *_: Any) -> None:
        self.packets.append(b"".join(words))

    def read_response(self) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def disconnect(self) -> None:
        self.closed += 1


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Callable[[Wire], Any]:
    """The claim's answer and how many Redis replicas have it, over this wire."""

    def call(wire: Wire) -> Any:
        client = redis.Redis()
        for name in ("get_connection", "release"):
            monkeypatch.setattr(client.connection_pool, name, getattr(wire, name))
        return run_and_wait(client, script("claim"), ("key",), ("a",), 1, 100)

    return call


def test_both_go_out_in_one_packet_over_one_connection(ask: Callable[[Wire], Any]) -> None:
    wire = Wire([[b"ok"], 0])
    assert ask(wire) == ([b"ok"], 0)
    (packet,) = wire.packets
    assert packet.index(b"EVALSHA") < packet.index(b"WAIT")
    assert (wire.taken, wire.released, wire.closed) == (1, 1, 0)


def test_a_script_that_is_not_known_is_sent_whole_with_another_wait(
    ask: Callable[[Wire], Any],
) -> None:
    wire = Wire([NoScriptError(), 1, [b"ok"], 0])
    assert ask(wire) == ([b"ok"], 0), "the WAIT behind the refused call answers for nothing"
    assert [packet.count(b"WAIT") for packet in wire.packets] == [1, 1]


def test_a_connection_in_which_an_answer_may_be_left_is_closed(ask: Callable[[Wire], Any]) -> None:
    wire = Wire([[b"ok"], redis.TimeoutError()])
    with pytest.raises(redis.TimeoutError):
        ask(wire)
    assert (wire.released, wire.closed) == (1, 1)
