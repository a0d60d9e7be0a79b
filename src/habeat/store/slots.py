"""What Redis knows about one slot of an entry, besides its definition and the ledger."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from habeat.core.circuit import Circuit
from habeat.core.data_loss import Loss
from habeat.core.lease import Token
from habeat.store.calling import Caller, optional_ms, text
from habeat.store.dead_letters import DeadRecord, read_dead
from habeat.store.leases import LIVE_FOR_MS
from habeat.store.pipelining import wire

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
        lease, meta, intent, dead, circuit, replicas, seen, oldest = self._read(name, field)
        holder = Token.parse(text(lease)) if lease else None
        cluster, since, lost, declared = (text(word or b"") for word in meta or [b""] * 4)
        live = {text(nonce) for nonce, at in seen or () if at >= now_ms - LIVE_FOR_MS}
        return SlotTraces(
            holder=holder,
            leader_since_ms=_in_ms(since),
            cluster=cluster,
            loss=Loss(optional_ms(lost) or 0, optional_ms(declared) or optional_ms(lost) or 0),
            intent=None if intent is None else _intent(bytes(intent)),
            dead=None if dead is None else read_dead(text(field), bytes(dead)),
            circuit=None if circuit is None else Circuit.from_json(text(circuit)),
            replicas={
                text(nonce): _object(raw)
                for nonce, raw in (replicas or {}).items()
                if text(nonce) in live
            },
            oldest_ms=optional_ms(text(oldest[0][0]).partition("-")[0]) if oldest else None,
        )

    def _read(self, name: str, field: bytes) -> Sequence[Any]:
        keys = self._caller.keys

        def read(client: Any) -> Sequence[Any]:
            pipe = client.pipeline(transaction=False)
            pipe.get(keys.lease)
            pipe.hmget(keys.meta, _META)
            pipe.hget(keys.inflight, field)
            pipe.hget(keys.dead, field)
            pipe.hget(keys.circuits, wire(name))
            pipe.hgetall(keys.replicas)
            pipe.zrange(keys.seen, 0, -1, withscores=True)
            pipe.xrange(keys.ledger, count=1)
            return [_answer(each) for each in pipe.execute(raise_on_error=False)]

        return self._caller.do(read)


def _answer(found: Any) -> Any:
    """An answer; None for a key in which another program has put something else."""
    if not isinstance(found, Exception):
        return found
    if "WRONGTYPE" in str(found):
        return None
    raise found


def _in_ms(word: str) -> int | None:
    """Microseconds as ms; None for anything that is not a whole number of them."""
    return int(word) // 1_000 if word.isascii() and word.isdigit() and len(word) < 20 else None


def _intent(raw: bytes) -> tuple[Token | None, int, int | None]:
    """Token, attempts and effective time of an intent, as far as they can be read."""
    token, attempts, effective, *_ = (*raw.split(b"\n", 3), b"", b"")
    tried = int(attempts) if attempts.isdigit() and len(attempts) < 7 else 0
    return Token.parse(text(token)), tried, optional_ms(effective)


def _object(raw: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(raw)
    except Exception:  # another program's value: this replica is shown without facts
        return {}
    return found if isinstance(found, dict) else {}
