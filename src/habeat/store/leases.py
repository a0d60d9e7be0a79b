"""The store as the election uses it: acquire, steal, observe, release, register."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any

from habeat.core.data_loss import Loss
from habeat.core.leadership import LIVE_FOR_MS as LIVE_FOR_MS
from habeat.core.leadership import where
from habeat.core.lease import Observation, Token
from habeat.core.shadow import why_refused
from habeat.ports import Clock, Known, LeaderChange, Look, Refused, Registration, Won
from habeat.printable import printable
from habeat.store.calling import Caller, optional_ms, text

CONFIG_FORGOTTEN_MS = 60_000
ROTATION_PAUSE_MS = 60_000


class RedisElectionStore:
    """`ports.ElectionStore`, implemented by the scripts."""

    def __init__(
        self,
        caller: Caller,
        clock: Clock,
        app_name: str,
        new_cluster_id: Callable[[], str] = lambda: secrets.token_hex(8),
        *,
        host: str = "",
        pid: int = 0,
    ) -> None:
        """`host` and `pid` are this process's, for the events of changes of leader."""
        self._caller = caller
        self._place = (host, pid)
        self._clock = clock
        self._app_name = app_name
        self._new_cluster_id = new_cluster_id

    def acquire(self, nonce: str, ttl_ms: int, known: Known) -> Won | Refused:
        reply = self._caller.run("acquire", *self._claim(nonce, ttl_ms, known), *self._place)
        return _attempt_reply(reply, self._app_name)

    def steal(
        self, nonce: str, ttl_ms: int, known: Known, cause: str, seen: Observation
    ) -> Won | Refused:
        claim = self._claim(nonce, ttl_ms, known)
        holder = (_raw(seen.holder or ""), seen.heartbeat)
        reply = self._caller.run("steal", *claim, cause, *holder, *self._place)
        return _attempt_reply(reply, self._app_name)

    def observe(self) -> Look:
        reply = self._caller.run_packed("observe")
        at_ms = self._clock.monotonic_us() // 1_000
        holder, pttl, heartbeat, listeners, ttl, cluster, epoch, *rest = reply
        until, declared, now_us, place = rest
        seen = Observation(
            at_ms=at_ms,
            holder=_holder(holder) or None,
            pttl_ms=int(pttl),
            heartbeat=int(heartbeat),
            listeners=None if int(listeners) < 0 else int(listeners),
            connection=self._caller.connection,
            holder_ttl_ms=int(ttl),
        )
        loss = Loss(int(until), int(declared))
        known = Known(text(cluster), int(epoch), int(heartbeat), loss, int(now_us) // 1_000)
        return Look(seen, known, int(now_us), _place(text(place)))

    def release(self, token: Token | None, nonce: str, why: str = "") -> None:
        self._caller.run("release", "" if token is None else str(token), nonce, why)

    def register(
        self,
        nonce: str,
        info: str,
        fingerprint: str,
        declared: int,
        generation: int = 0,
        age_ms: int = 0,
    ) -> Registration:
        spans = (LIVE_FOR_MS, fingerprint, CONFIG_FORGOTTEN_MS)
        own = (declared, generation, age_ms)
        reply = self._caller.run("register", nonce, info, *spans, *own)
        return Registration(*(int(each) for each in reply[:5]))

    def may_rotate(self) -> bool:
        """Whether a leader may hand over because of its broker: once a minute in all."""
        key = self._caller.keys.base + "rotation"

        def take(client: Any) -> bool:
            if client.set(key, "1", nx=True, px=ROTATION_PAUSE_MS):
                return True
            # Another program's key, which would last longer. If it has a foreign type, Upkeep
            # renames it before that.
            if not 0 <= client.pttl(key) <= ROTATION_PAUSE_MS:
                client.pexpire(key, ROTATION_PAUSE_MS)
            return False

        return self._caller.do(take)

    def _claim(self, nonce: str, ttl_ms: int, known: Known) -> Sequence[Any]:
        return (
            nonce,
            ttl_ms,
            self._app_name,
            self._new_cluster_id(),
            known.cluster,
            known.epoch,
            known.heartbeat,
            known.answered_ms,
        )


def _attempt_reply(reply: Sequence[Any], app_name: str) -> Won | Refused:
    word = text(reply[0])
    if word in ("won", "mine"):
        held, now_us, cluster, heartbeat, timeline, until, declared = map(text, reply[1:8])
        token = Token.parse(held)
        if token is None:
            return Refused(f"the lease is held by {held!r}, which is not a valid token")
        return Won(
            token=token,
            now_us=int(now_us),
            cluster=cluster,
            heartbeat=int(heartbeat),
            timeline=timeline,
            loss=Loss(int(until), int(declared)),
            already=word == "mine",
            change=_change(*map(text, reply[8:])) if word == "won" else None,
        )
    if word == "foreign":
        what, whose = text(reply[1]), text(reply[2])
        why = why_refused(whose, app_name) if what == "app" else ""
        return Refused(
            why
            or f"the keys under this prefix belong to another {what} ({whose}); "
            "give this app a habeat_key_prefix of its own",
            foreign=True,
        )
    if word == "reserved":
        return Refused(f"the last leader hands over to replica {text(reply[1])}")
    return Refused(text(reply[1]))


def _change(cause: str, since: str, why: str, *named: str) -> LeaderChange:
    of = dict(zip(named[::2], named[1::2], strict=True))
    before = where(of["from_host"], optional_ms(of["from_pid"]), of["from_replica"])
    return LeaderChange(cause, printable(before), optional_ms(since), printable(why))


def _place(raw: str) -> str:
    """Where the holder runs, of the words `pid host`."""
    pid, _, host = raw.partition(" ")
    return printable(where(host, optional_ms(pid), ""))


def _holder(raw: bytes | str) -> str:
    """The value of the lease. A token is ASCII; any other bytes must survive for `_raw`."""
    return raw if isinstance(raw, str) else raw.decode("latin-1")


def _raw(holder: str) -> bytes:
    """The stored bytes again, for the script to compare with."""
    return holder.encode("latin-1")
