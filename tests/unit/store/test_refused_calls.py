"""A refusal by a script is noticed, even if no Redis replica confirms the call."""

from __future__ import annotations

from typing import Any, cast

import pytest

from habeat.core.lease import Fence, Token
from habeat.ports import Behind, Lost, StoreUnavailable
from habeat.store.calling import Caller
from habeat.store.dispatch import RedisDispatchStore


class Answering:
    """Gives one answer, which no Redis replica has in time."""

    def __init__(self, reply: list[bytes | int]) -> None:
        self._reply = reply

    def run_copied(self, name: str, *args: Any, wanted: int, timeout_ms: int) -> tuple[Any, int]:
        return self._reply, 0


def store(*reply: bytes | int) -> RedisDispatchStore:
    return RedisDispatchStore(
        cast(Caller, Answering(list(reply))),
        dedup_ttl_ms=1_000,
        ledger_age_ms=1_000,
        ledger_length=10,
        wait_redis_replicas=1,
    )


FENCE = Fence(Token(1, "a"), 1_000)


def test_a_refusal_has_written_nothing_that_could_be_waited_for() -> None:
    assert store(b"lost", b"2:b").recover(FENCE, 10) == Lost("2:b")
    assert store(b"behind", 5_000, 3).recover(FENCE, 10) == Behind(5_000, 3)


def test_what_was_written_must_be_copied() -> None:
    with pytest.raises(StoreUnavailable, match="0 of 1 Redis replicas"):
        store(b"ok", 5_000, 3, b"", []).recover(FENCE, 10)
