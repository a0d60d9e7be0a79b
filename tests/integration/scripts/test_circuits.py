"""Circuits in Redis: kept for the next leader, closed by any change to the entry."""

from __future__ import annotations

import pytest

from habeat.core.circuit import Circuit
from habeat.core.lease import Fence, Token
from habeat.entries.codec import paused_json
from habeat.ports import Lost, Tick
from habeat.ports.entries import Removal, Write
from tests.integration.scripts.bench import TTL_MS, Bench, Placed

CIRCUIT = Circuit.opened(5, "no such exchange", 1_000)


def opened(bench: Bench, token: Token, name: str = "e") -> Placed:
    placed = bench.place(name)
    bench.store.keep_circuits(Fence(token, TTL_MS), [(name, placed.digest, CIRCUIT)])
    assert bench.store.circuits() == {name: CIRCUIT}
    return placed


def seen(bench: Bench, token: Token) -> list[Circuit | None]:
    found = bench.store.tick(Fence(token, TTL_MS), 10)
    assert isinstance(found, Tick)
    return [item.circuit for item in found.due]


def test_the_next_leader_sees_what_is_open(bench: Bench) -> None:
    token = bench.lead()
    opened(bench, token)
    assert seen(bench, token) == [CIRCUIT]
    bench.leases.release(token, token.nonce)
    heir = bench.lead("bb", bench.leases.observe().known)
    assert seen(bench, heir) == [CIRCUIT]


def test_a_message_that_was_taken_closes_it(bench: Bench) -> None:
    token = bench.lead()
    opened(bench, token)
    bench.store.keep_circuits(Fence(token, TTL_MS), [("e", "", None)])
    assert bench.store.circuits() == {}
    assert seen(bench, token) == [None]


@pytest.mark.parametrize("how", ["edit", "pause", "resume"])
def test_any_change_to_the_entry_closes_it(bench: Bench, how: str) -> None:
    token = bench.lead()
    placed = opened(bench, token)
    paused = {"edit": None, "pause": paused_json("", 5), "resume": ""}[how]
    definition = placed.stored + b" " if how == "edit" else b""
    assert bench.entries.write([Write("e", placed.digest, definition, paused=paused)]) is None
    assert bench.store.circuits() == {}


def test_removing_the_entry_closes_it(bench: Bench) -> None:
    token = bench.lead()
    placed = opened(bench, token)
    bench.entries.remove([Removal("e", placed.digest, None, None, "removed")])
    assert bench.store.circuits() == {}


def test_a_late_refusal_does_not_open_the_circuit_of_an_edited_entry(bench: Bench) -> None:
    token = bench.lead()
    bench.place()
    bench.store.keep_circuits(
        Fence(token, TTL_MS), [("e", "0" * 40, CIRCUIT), ("gone", "", CIRCUIT)]
    )
    assert bench.store.circuits() == {}


def test_only_the_leader_opens_and_closes(bench: Bench) -> None:
    token = bench.lead()
    opened(bench, token)
    before = bench.everything()
    stranger = Token.parse("7:bb")
    found = bench.store.keep_circuits(Fence(stranger, TTL_MS), [("e", "", None)])
    assert isinstance(found, Lost)
    assert bench.everything() == before


def test_one_that_cannot_be_read_is_none(bench: Bench) -> None:
    token = bench.lead()
    bench.place()
    bench.admin.hset(bench.keys.circuits, "e", b"\xff garbage")
    assert bench.store.circuits() == {}
    assert seen(bench, token) == [None]
