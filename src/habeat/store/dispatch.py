"""The store as the dispatching leader uses it: tick, claim, settle, skip, recover, quarantine."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from habeat.core.circuit import Circuit
from habeat.core.data_loss import Loss
from habeat.core.lease import Fence, Token
from habeat.core.limits import DEFAULT_LIMITS
from habeat.entries.codec import digest_of, read_state
from habeat.ports import (
    Claim,
    Departed,
    DueEntry,
    DueRequests,
    Intent,
    Marked,
    PendingCall,
    Queue,
    Recovered,
    Skip,
    Statuses,
    StoredControls,
    StoredRequest,
    StoreUnavailable,
    Tick,
    Unfenced,
)
from habeat.printable import ERROR_MAX_CHARS, printable
from habeat.store.calling import AnsweredCall, Caller, blank, optional_ms, text
from habeat.store.fenced_replies import statuses as _statuses
from habeat.store.fenced_replies import unfenced
from habeat.store.pages import DUE
from habeat.store.pipelining import Packed, wire

WAIT_TIMEOUT_MS = 200
_EXPIRY = re.compile(r"[0-9]{1,15}")
DEAD_AGE_MS, DEAD_LENGTH = 604_800_000, 10_000


class RedisDispatchStore:
    """`ports.DispatchStore`, implemented by the scripts."""

    def __init__(
        self,
        caller: Caller,
        *,
        dedup_ttl_ms: int,
        ledger_age_ms: int,
        ledger_length: int,
        wait_redis_replicas: int = 0,
        error_chars: int = ERROR_MAX_CHARS,
        dead_age_ms: int = DEAD_AGE_MS,
        dead_length: int = DEAD_LENGTH,
        definition_bytes: int = DEFAULT_LIMITS.stored_bytes,
        shadow: bool = False,
        host: str = "",
        pid: int = 0,
    ) -> None:
        """With `shadow`, a claim records what would be sent: it neither sends nor stores it.

        `host` and `pid` are this process's, for the event of a loss of data.
        """
        self._place = (host, pid)
        self._shadow = shadow
        self._caller = caller
        self._dedup_ttl_ms = dedup_ttl_ms
        self._ledger = (ledger_age_ms, ledger_length)
        self._dead = (dead_age_ms, dead_length)
        #: A larger definition is reported by its size and not read.
        self._definition_bytes = definition_bytes
        self._wait_redis_replicas = wait_redis_replicas
        #: Stored reasons are made printable and cut to this length.
        self._error_chars = error_chars
        self._databases: tuple[int | str, int | str] = ("", "")

    def use_databases(self, broker: int, own: int) -> None:
        """Set the numbers of the broker's database and habeat's own, for the claim script."""
        self._databases = (broker, own)

    def tick(
        self,
        fence: Fence,
        limit: int,
        ahead_ms: int = 0,
        offset: int = 0,
        lost_after_ms: int | None = None,
    ) -> Tick | Unfenced:
        looks = (limit, *self._ledger, ahead_ms, offset, blank(lost_after_ms), *self._dead)
        words = (*fence.words, *looks, self._definition_bytes, fence.stamp, *self._place)
        reply = self._caller.run("tick", *words)
        if refusal := unfenced(reply):
            return refusal
        _, now_us, beat, next_due, listeners, resend, loss, due, request, resumes, controls = reply
        return Tick(
            now_us=int(now_us),
            heartbeat=int(beat),
            next_due_ms=optional_ms(next_due),
            listeners=None if int(listeners) < 0 else int(listeners),
            resend_ms=optional_ms(resend),
            loss=Loss(*(optional_ms(each) or 0 for each in loss)),
            due=list(_due_entries(due)),
            request_ms=optional_ms(request),
            resumes=[text(name) for name in resumes],
            controls=_controls(controls),
        )

    def definitions(self, names: Sequence[str]) -> Sequence[bytes | None]:
        entries = self._caller.keys.entries
        found: Any = self._caller.do(lambda client: client.hmget(entries, list(map(wire, names))))
        return list(found)

    def claim(self, fence: Fence, claims: Sequence[Claim], *, atomic: bool) -> Statuses | Unfenced:
        words = (word for each in claims for word in _claim_words(each))
        head = self._claim_head(fence, claims, atomic)
        if atomic:
            return _statuses(self._caller.run("claim", *head, *words))
        return _statuses(self._run_copied("claim", *head, *words))

    def ready(self, claim: Claim) -> Claim:
        return replace(claim, readied=Packed.of(_claim_words(claim)))

    def send_claim(
        self, fence: Fence, claims: Sequence[Claim], *, atomic: bool
    ) -> PendingCall[Statuses | Unfenced]:
        if self._wait_redis_replicas:  # WAIT must follow the claim on the same connection
            return AnsweredCall(self.claim(fence, claims, atomic=atomic))
        head = self._claim_head(fence, claims, atomic)
        words = (each.readied or Packed.of(_claim_words(each)) for each in claims)
        return self._caller.send("claim", *head, *words).read_by(_statuses)

    def _claim_head(
        self, fence: Fence, claims: Sequence[Claim], atomic: bool
    ) -> Sequence[str | int]:
        how = "shadow" if self._shadow else "atomic" if atomic else "outbox"
        return (
            *fence.words,
            self._dedup_ttl_ms,
            how,
            *self._databases,
            fence.stamp,
            len(claims),
        )

    def settle(self, token: Token, departed: Sequence[Departed]) -> int:
        return int(self._caller.run("settle", *_settle_words(token, departed)))

    def send_settle(self, token: Token, departed: Sequence[Departed]) -> PendingCall[int]:
        return self._caller.send("settle", *_settle_words(token, departed)).read_by(int)

    def skip(self, fence: Fence, skips: Sequence[Skip]) -> Statuses | Unfenced:
        words = [word for skip in skips for word in _skip_words(skip, self._error_chars)]
        return _statuses(self._caller.run("skip", *fence.words, fence.stamp, len(skips), *words))

    def recover(self, fence: Fence, limit: int) -> Recovered | Unfenced:
        reply = self._run_copied("recover", *fence.words, limit, DUE)
        if refusal := unfenced(reply):
            return refusal
        _, now_us, heartbeat, waits, found = reply
        return Recovered(int(now_us), optional_ms(waits), list(_intents(found)), int(heartbeat))

    def mark(
        self, fence: Fence, intent: Intent, cap: int, bury: str, pause_ms: int, why: str = ""
    ) -> Marked | Unfenced:
        words = (intent.field, cap, bury, pause_ms, printable(why, self._error_chars))
        reply = self._run_copied("mark", *fence.words, *words)
        if refusal := unfenced(reply):
            return refusal
        word = text(reply[0])
        attempt = int(reply[2]) if word == "ok" else 0
        return Marked(attempt, word == "buried", int(reply[1]))

    def asked(self, fence: Fence, limit: int) -> DueRequests | Unfenced:
        reply = self._caller.run("asked", *fence.words, limit, DUE)
        if refusal := unfenced(reply):
            return refusal
        _, _, heartbeat, found = reply
        requests = [
            StoredRequest(text(identity), digest_of(bytes(raw)), bytes(raw))
            for identity, raw in zip(*[iter(found)] * 2, strict=True)
        ]
        return DueRequests(requests, int(heartbeat))

    def put_off(
        self, fence: Fence, queue: Queue, fields: Sequence[str], until_ms: int
    ) -> Statuses | Unfenced:
        named = map(wire, fields)
        return _statuses(self._caller.run("put_off", *fence.words, queue, until_ms, *named))

    def drop(
        self, fence: Fence, request: StoredRequest, entry: str, slot_ms: int, why: str
    ) -> Statuses | Unfenced:
        why = printable(why, self._error_chars)
        words = (request.identity, request.digest, entry, slot_ms, why)
        return _statuses(self._caller.run("drop", *fence.words, *words))

    def circuits(self) -> Mapping[str, Circuit]:
        key = self._caller.keys.circuits
        found: Any = self._caller.do(lambda client: client.hgetall(key))
        read = {text(name): Circuit.from_json(text(raw)) for name, raw in found.items()}
        return {name: circuit for name, circuit in read.items() if circuit is not None}

    def keep_circuits(
        self, fence: Fence, changes: Sequence[tuple[str, str, Circuit | None]]
    ) -> Statuses | Unfenced:
        words = [
            word
            for name, digest, circuit in changes
            for word in (wire(name), digest, "" if circuit is None else circuit.to_json())
        ]
        return _statuses(self._caller.run("circuits", *fence.words, len(changes), *words))

    def defer(self, fence: Fence, due: DueEntry, until_ms: int | None) -> Statuses | Unfenced:
        words = (due.name, due.digest, due.due_ms, blank(until_ms))
        return _statuses(self._caller.run("defer", *fence.words, *words))

    def quarantine(self, fence: Fence, due: DueEntry, why: str) -> Statuses | Unfenced:
        words = (due.name, due.digest, printable(why, self._error_chars))
        return _statuses(self._caller.run("quarantine", *fence.words, *words))

    def _run_copied(self, name: str, *words: Any) -> Any:
        """Run a script that writes before a publish; WAIT follows it if that is configured."""
        wanted = self._wait_redis_replicas
        if not wanted:
            return self._caller.run(name, *words)
        limits = {"wanted": wanted, "timeout_ms": WAIT_TIMEOUT_MS}
        reply, have = self._caller.run_copied(name, *words, **limits)
        if unfenced(reply) is None:  # a refused call has written nothing
            self._await_redis_replicas(have)
        return reply

    def _await_redis_replicas(self, have: int) -> None:
        wanted = self._wait_redis_replicas
        if have < wanted:
            raise StoreUnavailable(
                "unreachable",
                f"only {have} of {wanted} Redis replicas acknowledged a write in time",
            )


def _controls(flat: Sequence[bytes]) -> StoredControls | None:
    if not flat:
        return None
    fields = map(text, flat[1:])
    return StoredControls(text(flat[0]), dict(zip(fields, fields, strict=True)))


def _due_entries(flat: Sequence[bytes]) -> Iterator[DueEntry]:
    for name, due, digest, state, circuit in zip(*[iter(flat)] * 5, strict=True):
        found = read_state(text(state))
        yield DueEntry(
            name=text(name),
            due_ms=optional_ms(due) or 0,
            digest=text(digest),
            cursor_ms=None if found is None else found.cursor_ms,
            fired=0 if found is None else found.fired,
            circuit=Circuit.from_json(text(circuit)) if circuit else None,
        )


def _settle_words(token: Token, departed: Sequence[Departed]) -> list[Any]:
    words: list[Any] = [str(token), len(departed)]
    for left in departed:
        words += (left.entry, left.identity, left.left_ms, left.attempt, left.queue)
        words += (left.outcome or "", printable(left.reason, ERROR_MAX_CHARS))
    return words


def _claim_words(claim: Claim) -> list[Any]:
    firing = claim.firing
    words = [
        firing.entry,
        claim.expected.digest,
        claim.expected.due_ms,
        claim.expected.cursor_ms,
        firing.slot_ms,
        firing.effective_ms,
        blank(claim.next.slot_ms),
        blank(claim.next.due_ms),
        firing.reason,
        claim.delivery,
        claim.rendered.envelope,
        firing.request,
        claim.remains,
        blank(claim.rendered.expires_ms),
        len(claim.rendered.commands),
    ]
    for command in claim.rendered.commands:
        words.append(len(command))
        words += command
    return words


def _skip_words(skip: Skip, error_chars: int) -> Sequence[Any]:
    return (
        skip.entry,
        skip.expected.digest,
        skip.expected.due_ms,
        skip.expected.cursor_ms,
        skip.new_cursor_ms,
        blank(skip.next.slot_ms),
        blank(skip.next.due_ms),
        skip.run.outcome.value,
        printable(skip.run.reason, error_chars),
        skip.run.first_ms,
        skip.run.count,
    )


def _intents(flat: Sequence[bytes]) -> Iterator[Intent]:
    for field, attempts, effective, kind, message in zip(*[iter(flat)] * 5, strict=True):
        name, _, identity = text(field).rpartition("@")
        *_, expires, delivery = ["", *text(kind).split("/")]
        yield Intent(
            entry=name,
            identity=identity,
            attempts=int(attempts),
            effective_ms=int(effective),
            delivery=delivery,
            envelope=bytes(message),
            expires_ms=int(expires) if _EXPIRY.fullmatch(expires) else None,
        )
