"""What Redis knows about one slot of an entry, besides its definition and the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from habeat.core.circuit import Circuit
from habeat.core.data_loss import Loss
from habeat.core.lease import Token
from habeat.store.calling import Caller, optional_ms, text
from habeat.store.dead_letters import DeadRecord, read_dead
from habeat.store.overview import live_of, seen_of
from habeat.store.pipelining import wire
from habeat.store.replies import holder, objects

_META = ("cluster", "leader_since", "history_lost", "loss_declared")


@dataclass(frozen=True, slots=True)
class SlotTraces:
    """The traces of a slot, read in one round trip. Instants are Unix ms.

    `intent` is the token, the attempts and the effective time of the outbox's record, `dead` the
    record of a firing that was given up. `replicas` has what each live replica registered, by
    nonce.
    """

    holder: Token | None
    leader_since_ms: int | None
    cluster: str
    loss: Loss
    intent: tuple[Token | None, int, int | None] | None
    dead: DeadRecord | None
    circuit: Circuit | None
    replicas: Mapping[str, Mapping[str, Any]]
    oldest_ms: int | None


class SlotStore:
    """Reads the traces of slots."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def traces(self, name: str, slot_ms: int, now_ms: int) -> SlotTraces:
        """What is known about the slot `slot_ms` of this entry."""
        field = wire(f"{name}@{slot_ms}")
        keys, field = self._caller.keys, wire(f"{name}@{slot_ms}")
        lease, meta, intent, dead, circuit, replicas, seen, oldest = self._caller.at_once(
            [
                lambda pipe: pipe.get(keys.lease),
                lambda pipe: pipe.hmget(keys.meta, _META),
                lambda pipe: pipe.hget(keys.inflight, field),
                lambda pipe: pipe.hget(keys.dead, field),
                lambda pipe: pipe.hget(keys.circuits, wire(name)),
                lambda pipe: pipe.hgetall(keys.replicas),
                lambda pipe: pipe.zrange(keys.seen, 0, -1, withscores=True),
                lambda pipe: pipe.xrange(keys.ledger, count=1),
            ]
        )
        cluster, since, lost, declared = (text(word or b"") for word in meta or [b""] * 4)
        live = live_of(seen_of(seen), now_ms)
        return SlotTraces(
            holder=holder(lease),
            leader_since_ms=_in_ms(since),
            cluster=cluster,
            loss=Loss(optional_ms(lost) or 0, optional_ms(declared) or optional_ms(lost) or 0),
            intent=None if intent is None else _intent(bytes(intent)),
            dead=None if dead is None else read_dead(text(field), bytes(dead)),
            circuit=None if circuit is None else Circuit.from_json(text(circuit)),
            replicas={nonce: each for nonce, each in objects(replicas).items() if nonce in live},
            oldest_ms=optional_ms(text(oldest[0][0]).partition("-")[0]) if oldest else None,
        )


def _in_ms(word: str) -> int | None:
    """Microseconds as ms; None for anything that is not a whole number of them."""
    return int(word) // 1_000 if word.isascii() and word.isdigit() and len(word) < 20 else None


def _intent(raw: bytes) -> tuple[Token | None, int, int | None]:
    """Token, attempts and effective time of an intent, as far as they can be read."""
    token, attempts, effective, *_ = (*raw.split(b"\n", 3), b"", b"")
    tried = int(attempts) if attempts.isdigit() and len(attempts) < 7 else 0
    return Token.parse(text(token)), tried, optional_ms(effective)
