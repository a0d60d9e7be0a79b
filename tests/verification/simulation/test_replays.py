"""Every fenced call that the shipped engine makes, made again when something has changed meanwhile.

A few seeds are run; before each call of a script the server's data is kept, one thing is changed,
the very same call is made, its answer and its writes are looked at, and the data is put back. So
each comparison of a script is missed here by what it lets through, with the arguments that the
engine really sends, and not only by the test that was written for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from habeat.entries.codec import decode
from habeat.store.scripting import script
from tests.verification.simulation import lives
from tests.verification.simulation.conduct import FENCED
from tests.verification.simulation.model import ReplyError, Words
from tests.verification.simulation.network import Client
from tests.verification.simulation.plan import Plan, plan_of
from tests.verification.simulation.run import Simulation

OTHER = "99:somebody else"
HOUR_US = 3_600_000_000


class Trial:
    """One call of a script, to be made again under other circumstances."""

    def __init__(self, sim: Simulation, name: str, sha: str, keys: Any, args: Any) -> None:
        self.sim, self.server, self.name = sim, sim.server, name
        self.sha, self.keys, self.args = sha, keys, list(args)
        self._log: list[Words] = []
        self.writes: list[Words] = []

    def call(self, *words: Any) -> Any:
        return self.server.call(*words)

    def again(self, token: str = "") -> Any:
        """The call; what it wrote is in `writes`, but for the lease's extension."""
        self._log.clear()
        args = [token, *self.args[1:]] if token else self.args
        reply = self.server.evalsha(self.sha, None, self.keys, args)
        self.writes = [words for words in self._log if words[0] != b"PEXPIRE"]
        return reply

    @contextmanager
    def apart(self) -> Iterator[None]:
        """The server's data is restored afterwards, without any notification."""
        server, before = self.server, self.server.snapshot()
        heard = server.on_write, server.on_publish, server.after_script, server.now_us
        server.on_write, server.on_publish = self._log.append, lambda *_: None
        server.after_script = lambda: None
        try:
            yield
        finally:
            server.on_write, server.on_publish, server.after_script, server.now_us = heard
            server.restore(before)

    def statuses(self, reply: Any) -> list[bytes]:
        return list(reply[3:]) if reply and reply[0] == b"ok" else []

    def fails(self, why: str, reply: Any) -> None:
        pytest.fail(f"{self.name} {why}: {reply!r}, {self.writes!r}")


def _stale(trial: Trial) -> None:
    """The lease is another's: the call is refused, and writes nothing."""
    if trial.name not in FENCED or trial.args[0] in ("", b""):
        return
    with trial.apart():
        trial.call("SET", trial.sim.keys.lease, OTHER, "PX", 1_000)
        reply = trial.again()
        if reply[0] != b"lost" or trial.writes:
            trial.fails("by a token that does not live", reply)


def _twice(trial: Trial) -> None:
    """If the answer was lost, a second call does nothing twice and learns the result."""
    if trial.name not in ("claim", "skip", "settle"):
        return
    with trial.apart():
        first = trial.again()
        if trial.name == "settle":
            second = trial.again()
            if second != 0 or any(words[0] == b"HINCRBY" for words in trial.writes):
                trial.fails("a second time", second)
            _keys_are_settled(trial)
            trial.again(OTHER)  # a message that left under another lease, too
            notes = [words for words in trial.writes if b"left again" in words]
            if len(notes) != int(trial.args[1]):
                trial.fails("of what somebody else has settled", notes)
            return
        done = [number for number, word in enumerate(trial.statuses(first)) if word == b"ok"]
        second = trial.again()
        words = [trial.statuses(second)[number] for number in done]
        expected = (b"mine settled", b"mine inflight") if trial.name == "claim" else (b"replan",)
        if done and (any(word not in expected for word in words) or trial.writes):
            trial.fails("a second time", second)


def _keys_are_settled(trial: Trial) -> None:
    """A settled firing is recognised by its key, as long as that exists."""
    for at in range(2, len(trial.args), 7):
        name, identity = (_raw(word).decode() for word in trial.args[at : at + 2])
        key = f"{trial.sim.keys.base}fired:{name}:{identity}"
        raw = trial.call("GET", key)
        if raw is not None and raw.rpartition(b"|")[2] != b"settled":
            trial.fails("and its key says otherwise", raw)


def _by_another(trial: Trial) -> None:
    """What was claimed is a duplicate for the next leader."""
    if trial.name != "claim":
        return
    with trial.apart():
        done = [n for n, word in enumerate(trial.statuses(trial.again())) if word == b"ok"]
        trial.call("SET", trial.sim.keys.lease, OTHER, "PX", 1_000)
        reply = trial.again(OTHER)
        if any(trial.statuses(reply)[number] != b"duplicate" for number in done) or (
            done and trial.writes
        ):
            trial.fails("by the next leader", reply)


def _sound(trial: Trial) -> list[int]:
    """Which firings or moves are accepted in the present state; none if a request is among them."""
    with trial.apart():
        reply = trial.again()
        taken = [n for n, word in enumerate(trial.statuses(reply)) if word == b"ok"]
        asked = any(words[1].rpartition(b":")[2].find(b"#") >= 0 for words in trial.writes)
        return [] if asked else taken


def _after(change: Callable[[Trial], None], expected: bytes, *names: str) -> Callable[..., None]:
    def check(trial: Trial) -> None:
        if trial.name not in names:
            return
        taken = _sound(trial)
        if not taken:
            return
        with trial.apart():
            change(trial)
            reply = trial.again()
            found = trial.statuses(reply)
            # Behind one that is not taken, the next of its entry stands in a wrong place.
            wrong = any(found[n] not in (expected, b"replan") for n in taken)
            if wrong or found[taken[0]] != expected or trial.writes:
                trial.fails(f"after it was {change.__name__.strip('_')}", reply)

    return check


def _pairs(trial: Trial, key: str) -> list[tuple[bytes, bytes]]:
    flat = trial.call("HGETALL", key)
    return list(zip(flat[::2], flat[1::2], strict=True))


def _edited(trial: Trial) -> None:
    for name, raw in _pairs(trial, trial.sim.keys.entries):
        trial.call("HSET", trial.sim.keys.entries, name, raw + b" ")


def _removed(trial: Trial) -> None:
    trial.call("DEL", trial.sim.keys.entries)


def _paused(trial: Trial) -> None:
    trial.call("DEL", trial.sim.keys.due)


def _moved(trial: Trial) -> None:
    for name, raw in _pairs(trial, trial.sim.keys.state):
        cursor, _, rest = raw.partition(b"|")
        trial.call("HSET", trial.sim.keys.state, name, b"%d|%s" % (int(cursor) + 1, rest))


def _set_back(trial: Trial) -> None:
    now_us = trial.server.now_us()
    trial.server.now_us = lambda: now_us - HOUR_US


def _to_the_millisecond(trial: Trial) -> None:
    """Nothing is accepted before its effective time, and at that time it is accepted."""
    if trial.name != "claim" or len(_sound(trial)) != 1:
        return
    with trial.apart():
        trial.again()
        ((name, state),) = [w[2:4] for w in trial.writes if w[1] == trial.sim.keys.state.encode()]
        raw = trial.call("HGET", trial.sim.keys.entries, name)
    entry = decode(name.decode(), raw)
    effective_us = entry.effective_ms(int(state.split(b"|")[0])) * 1_000
    for now_us, expected in ((effective_us - 1, b"early"), (effective_us, b"ok")):
        with trial.apart():
            trial.server.now_us = lambda now_us=now_us: now_us  # type: ignore[misc]
            reply = trial.again()
            if expected not in trial.statuses(reply):
                trial.fails(f"at {now_us} us, due at {effective_us} us", reply)


def _fired(trial: Trial) -> None:
    """By a replica whose cursor has been lost."""
    before = trial.server.snapshot()
    trial.again()
    keys = [words[1] for words in trial.writes if words[0] == b"SET" and b":fired:" in words[1]]
    trial.server.restore(before)
    for key in keys:
        trial.call("SET", key, f"{OTHER}|settled", "PX", 300_000)


def _suppressed(trial: Trial) -> None:
    """A slot whose key is there is a duplicate, and it is in the ledger."""
    if trial.name != "claim" or not (taken := _sound(trial)):
        return
    with trial.apart():
        _fired(trial)
        reply = trial.again()
        records = [words for words in trial.writes if words[0] == b"XADD"]
        wrong = any(trial.statuses(reply)[n] != b"duplicate" for n in taken)
        if wrong or len(records) != len(taken):
            trial.fails("after it was fired", reply)


def _by_a_token_that_follows(trial: Trial) -> None:
    """The same process leads again: what it claimed before is not a claim of its new lease."""
    if trial.name != "claim":
        return
    again = f"99:{_raw(trial.args[0]).decode().partition(':')[2]}"
    with trial.apart():
        done = [n for n, word in enumerate(trial.statuses(trial.again())) if word == b"ok"]
        trial.call("SET", trial.sim.keys.lease, again, "PX", 1_000)
        reply = trial.again(again)
        if any(trial.statuses(reply)[number] != b"duplicate" for number in done):
            trial.fails("by the same process under another lease", reply)


def _asked_otherwise(trial: Trial) -> None:
    """A request that was changed, or taken, meanwhile is planned again, or gone."""
    requests = trial.sim.keys.requests
    if trial.name != "claim" or not trial.call("HLEN", requests) or _sound(trial):
        return
    for change, expected in ((b" ", b"replan"), (b"", b"gone")):
        with trial.apart():
            taken = [n for n, word in enumerate(trial.statuses(trial.again())) if word == b"ok"]
        with trial.apart():
            for identity, raw in _pairs(trial, requests):
                if change:
                    trial.call("HSET", requests, identity, raw + change)
                else:
                    trial.call("HDEL", requests, identity)
            reply = trial.again()
            if len(taken) == 1 and trial.statuses(reply)[taken[0]] != expected:
                trial.fails("after its request was changed", reply)


def _released(trial: Trial) -> None:
    """A release that comes late does not end the lease of another."""
    if trial.name == "release":
        with trial.apart():
            trial.call("SET", trial.sim.keys.lease, OTHER, "PX", 1_000)
            reply = trial.again()
            if reply != 0 or any(words[1].endswith(b":lease") for words in trial.writes):
                trial.fails("of another's lease", reply)


def _stolen(trial: Trial) -> None:
    """A steal is a comparison with what was seen: the holder, and its heartbeat."""
    if trial.name != "steal":
        return
    keys = trial.sim.keys
    for change in (("SET", keys.lease, OTHER, "PX", 1_000), ("HINCRBY", keys.meta, "heartbeat", 1)):
        with trial.apart():
            trial.call(*change)
            reply = trial.again()
            if reply[0] != b"refused" or trial.writes:
                trial.fails("after the holder was another, or was heard of", reply)


def _epoch_of(reply: Any) -> int:
    return int(reply[1].partition(b":")[0])


def _epochs(trial: Trial) -> None:
    """The lease epoch rises, also when the clock stands behind it, and above what was known."""
    if trial.name != "acquire":
        return
    with trial.apart():
        _set_back(trial)
        won = []
        for known in (trial.args[5], 1 << 50):
            trial.args[5] = known
            for _ in range(2):
                trial.call("DEL", trial.sim.keys.lease)
                won.append(_epoch_of(trial.again()))
        if won != sorted(set(won)) or won[2] <= 1 << 50:
            trial.fails("again and again", won)


def _unheard(trial: Trial) -> None:
    """A replica without a subscriber cannot tell that another has none."""
    if trial.name != "steal" or b"crash" not in map(_raw, trial.args):
        return
    server: Any = trial.server
    own = trial.sim.keys.alive(_raw(trial.args[0]).decode()).encode()
    with trial.apart():
        server._lua.listen(server._server, own, 0)
        reply = trial.again()
        server._lua.listen(server._server, own, len(server.subscribers.get(own, ())))
        if reply[0] != b"refused" or trial.writes:
            trial.fails("by somebody who is not heard", reply)


def _asked_twice(trial: Trial) -> None:
    """A request's id is used once; a caller whose answer was lost gets the same answer again."""
    if trial.name != "request":
        return
    with trial.apart():
        first, second = trial.again()[0], trial.again()[0]
        trial.args[4:5] = ["another call"]
        third = trial.again()[0]
        if first == b"ok" and (second, third) != (b"ok", b"known"):
            trial.fails("again and again", (first, second, third))


def _renamed(trial: Trial) -> None:
    """What was due under the old name is due under the new one, and no longer under the old."""
    if trial.name != "rename":
        return
    due, old = trial.sim.keys.due, trial.args[2]
    with trial.apart():
        if trial.again()[0] == b"ok":
            names = trial.call("ZRANGEBYSCORE", due, "-inf", "+inf")
            if _raw(old) in names:
                trial.fails("leaves the old name due", names)


def _acquired(trial: Trial) -> None:
    """A caller whose answer was lost gets the same token; a lease that is held is left alone."""
    if trial.name != "acquire":
        return
    with trial.apart():
        first, second = trial.again(), trial.again()
        if first[0] == b"won" and (second[0] != b"mine" or second[1] != first[1]):
            trial.fails("a second time", second)
    with trial.apart():
        trial.call("SET", trial.sim.keys.lease, OTHER, "PX", 1_000)
        reply = trial.again()
        if reply[0] != b"held" or trial.writes:
            trial.fails("of a lease that is held", reply)


def _planned_before(trial: Trial) -> None:
    """An edit or a removal that a claim has overtaken is planned again."""
    if trial.name not in ("write", "remove"):
        return
    with trial.apart():
        compares = trial.again()[0] == b"ok" and any(
            words[1].endswith(b":state") for words in trial.writes
        )
    names = [name for name, _ in _pairs(trial, trial.sim.keys.state)]
    known = {_raw(arg) for arg in trial.args}
    if not compares or not any(name in known for name in names):
        return
    with trial.apart():
        _moved(trial)
        reply = trial.again()
        if reply[0] != b"conflict" or trial.writes:
            trial.fails("after a claim", reply)


def _marked(trial: Trial) -> None:
    """An intent that another has recovered is not resent; one that is used up is buried."""
    if trial.name != "mark":
        return
    inflight = trial.sim.keys.inflight
    for token, attempts, expected in ((OTHER, None, b"gone"), (None, 1_000, b"buried")):
        with trial.apart():
            for field, raw in _pairs(trial, inflight):
                parts = raw.decode().split("\n", 2)
                words = (token or parts[0], str(attempts or parts[1]), parts[2])
                trial.call("HSET", inflight, field, "\n".join(words))
            reply = trial.again()
            if reply[0] != expected and trial.call("HLEN", inflight):
                trial.fails("of an intent that is another's, or used up", reply)


def _skipped(trial: Trial) -> None:
    """What has been skipped is due when the call says so, and not before."""
    if trial.name != "skip":
        return
    due, moves = trial.sim.keys.due, trial.args[5:]
    with trial.apart():
        result = zip(moves[::11], moves[6::11], trial.statuses(trial.again()), strict=True)
        found = dict(_scores(trial, due))
        # Of several moves of an entry the last says where it stands.
        wanted = {_raw(name): _raw(next_due) for name, next_due, word in result if word == b"ok"}
        for name, next_due in wanted.items():
            if next_due and int(found.get(name, 0)) != int(next_due):
                trial.fails(f"leaves the slot due that it has skipped {wanted}", found)


def _only_once(trial: Trial) -> None:
    """An intent that must not be repeated is given up at the first attempt to resend it."""
    if trial.name != "mark":
        return
    with trial.apart():
        trial.args[5] = "may have left"
        reply = trial.again()
        if reply[0] == b"ok":
            trial.fails("of what may not be repeated", reply)


def _requested(trial: Trial) -> None:
    """An id is used once: another call with it requests nothing."""
    if trial.name != "claim":
        return
    keys, found = trial.sim.keys, script("request")
    names = trial.call("HKEYS", keys.entries)
    if not names:
        return
    with trial.apart():

        def ask(order: str, mark: str) -> bytes:
            words = ("q", order, 60_000, names[0], mark)
            reply: list[bytes] = trial.server.evalsha(found.sha, found.text, keys.fixed, words)
            return reply[0]

        result = [ask("one", "a"), ask("one", "a"), ask("other", "b")]
        if result != [b"ok", b"ok", b"known"] or trial.call("HGET", keys.requests, "q") != b"one":
            trial.fails("and a request is made twice", result)


def _led_before(trial: Trial, nonce: str) -> Any:
    """The answer to an acquisition of a lease that is free, by this process."""
    trial.call("DEL", trial.sim.keys.lease)
    trial.args[0] = nonce
    return trial.again()


def _heirs(trial: Trial) -> None:
    """An heir leaves alone the intents of the last leader, for the TTL that it had."""
    if trial.name != "acquire":
        return
    keys, found = trial.sim.keys, script("release")
    with trial.apart():
        first = _led_before(trial, "one")
        if first[0] != b"won":
            return
        trial.call("HSET", keys.meta, "lease_ttl", 60_000)
        _led_before(trial, "other")
        kept = dict(_pairs(trial, keys.untrusted)).get(first[1], b"")
        if kept.partition(b"|")[2] != b"60000":
            trial.fails("after one of a longer lease", kept)
    with trial.apart():  # it was given back, says a history that went back
        first = _led_before(trial, "one")
        trial.server.evalsha(found.sha, found.text, keys.fixed, [first[1], "one"])
        trial.args[4:7] = [first[3], _epoch_of(first), 1 << 40]
        reply = _led_before(trial, "other")
        if reply[5] != b"restored" or first[1] not in dict(_pairs(trial, keys.untrusted)):
            trial.fails("of a history that went back", reply)
    with trial.apart():  # what is known of another history says nothing of this one
        _led_before(trial, "one")
        trial.args[4:7] = ["a cluster that was", 0, 1 << 40]
        reply = _led_before(trial, "other")
        if reply[5] != b"continued":
            trial.fails("by somebody who knows another history", reply)


def _declared(trial: Trial) -> None:
    """A loss that is declared does not reach into the future, whatever its bound."""
    if trial.name != "tick":
        return
    with trial.apart():
        now_ms = trial.server.now_us() // 1_000
        trial.args[8] = now_ms + HOUR_US // 1_000
        reply = trial.again()
        lost_ms = int(trial.call("HGET", trial.sim.keys.meta, "history_lost") or 0)
        if reply[0] == b"ok" and not 0 < lost_ms <= now_ms:
            trial.fails("declares a loss of what is to come", lost_ms)


def _tells_its_heartbeat(trial: Trial) -> None:
    """The answer contains the heartbeat, by which a leader notices a loss."""
    if trial.name not in ("claim", "tick", "skip"):
        return
    with trial.apart():
        reply = trial.again()
        heartbeat = int(trial.call("HGET", trial.sim.keys.meta, "heartbeat") or 0)
        if reply[0] == b"ok" and int(reply[2]) != heartbeat:
            trial.fails(f"at heartbeat {heartbeat}", reply)


def _unreadable(trial: Trial) -> None:
    """An intent that cannot be read is set aside, where a person finds it."""
    if trial.name != "recover":
        return
    keys = trial.sim.keys
    with trial.apart():
        trial.call("HSET", keys.inflight, "old@1", "garbled")
        trial.call("ZADD", keys.inflight_due, 0, "old@1")
        reply = trial.again()
        if trial.call("HEXISTS", keys.inflight, "old@1") or not trial.call(
            "HEXISTS", keys.dead, "old@1"
        ):
            trial.fails("leaves an intent in flight that it cannot read", reply)


def _of_an_older_release(trial: Trial) -> None:
    """Intents and requests without a place in the index get one."""
    if trial.name != "tick":
        return
    keys = trial.sim.keys
    with trial.apart():
        pairs = ((keys.inflight, keys.inflight_due), (keys.requests, keys.requests_due))
        for kept, _ in pairs:
            trial.call("HSET", kept, "old", "of an older release")
        reply = trial.again()
        for _, index in pairs:
            if (b"old" not in dict(_scores(trial, index))) and reply[0] == b"ok":
                trial.fails(f"does not find what {index} has no place for", reply)


def _foreign_key(trial: Trial) -> None:
    """If a claim cannot be written, no message is sent."""
    if trial.name != "claim" or not _sound(trial):
        return
    with trial.apart():
        trial.call("DEL", trial.sim.keys.lateness)
        trial.call("SET", trial.sim.keys.lateness, "no hash")
        trial.writes.clear()
        try:
            reply = trial.again()
        except ReplyError as error:
            reply = error
        if not isinstance(reply, ReplyError) or trial.writes:
            trial.fails("though a key of ours is of a foreign type", reply)


def _carried_out(trial: Trial) -> None:
    """A request that was carried out is gone, or has advanced."""
    requests = trial.sim.keys.requests
    if trial.name != "claim" or not trial.call("HLEN", requests) or _sound(trial):
        return
    with trial.apart():
        before = _pairs(trial, requests)
        reply = trial.again()
        if set(trial.statuses(reply)) == {b"ok"} and _pairs(trial, requests) == before:
            trial.fails("leaves the request as it was", reply)


def _dropped(trial: Trial) -> None:
    """A request that was replaced meanwhile is not put aside. Engines hardly ever drop one."""
    if trial.name != "claim":
        return
    keys, found = trial.sim.keys, script("drop")
    for digest, expected in ((_digest("another"), b"replan"), (_digest("order"), b"ok")):
        with trial.apart():
            trial.call("HSET", keys.requests, "q", "order")
            words = (*trial.args[:3], "q", digest, "e0", "1", "why")
            reply = trial.server.evalsha(found.sha, found.text, keys.fixed, words)
            if reply[0] == b"ok" and reply[3] != expected:
                trial.fails("and a request that is dropped", reply)


def _renamed_with_a_request(trial: Trial) -> None:
    """A request that has advanced since it was read is not overwritten."""
    if trial.name != "rename":
        return
    with trial.apart():
        if trial.again()[0] != b"ok":
            return
    for seen, expected in (("order", b"ok"), ("what it was before", b"conflict")):
        with trial.apart():
            trial.call("DEL", trial.sim.keys.requests)
            trial.call("HSET", trial.sim.keys.requests, "q", "order")
            trial.args[8:] = ["1", "1", "q", _digest(seen), "renamed"]
            reply = trial.again()
            if reply[0] != expected:
                trial.fails("with a request", reply)


def _resent(trial: Trial) -> None:
    """What was given up is sent again once, and the balance holds."""
    if trial.name != "mark":
        return
    keys, found = trial.sim.keys, script("resend")
    with trial.apart():
        for field, raw in _pairs(trial, keys.inflight):
            parts = raw.decode().split("\n", 2)
            trial.call("HSET", keys.inflight, field, "\n".join((parts[0], "1000", parts[2])))
        intents = dict(_pairs(trial, keys.inflight))
        if trial.again()[0] != b"buried":
            return
        (field,) = set(intents) - set(dict(_pairs(trial, keys.inflight)))
        kept = trial.call("HGET", keys.dead, field)
        entry, _, slot = field.decode().rpartition("@")

        def resend(seen: bytes) -> bytes:
            words = (field, _digest(seen), entry, slot.partition("#")[0], "", intents[field])
            reply: list[bytes] = trial.server.evalsha(found.sha, found.text, keys.fixed, words)
            return reply[0]

        balance = _balance(trial)
        result = [resend(b"something else"), resend(kept), resend(kept)]
        trial.call("HSET", keys.dead, field, kept)
        result.append(resend(kept))
        if result != [b"changed", b"ok", b"changed", b"there"] or _balance(trial) != balance:
            trial.fails("and what it buried is sent again", result)


def _balance(trial: Trial) -> int:
    names = ("claimed", "settled", "abandoned")
    counts = [int(trial.call("HGET", trial.sim.keys.meta, name) or 0) for name in names]
    return counts[0] - counts[1] - counts[2] - int(trial.call("HLEN", trial.sim.keys.inflight))


def _raw(word: Any) -> bytes:
    """A word of a call as Redis gets it."""
    return word if isinstance(word, bytes) else str(word).encode()


def _digest(text: str | bytes) -> str:
    raw = text.encode() if isinstance(text, str) else text
    return hashlib.sha1(raw, usedforsecurity=False).hexdigest()


def _scores(trial: Trial, key: str) -> list[tuple[bytes, bytes]]:
    flat = trial.call("ZRANGEBYSCORE", key, "-inf", "+inf", "WITHSCORES")
    return list(zip(flat[::2], flat[1::2], strict=True))


CHECKS: list[Callable[[Trial], None]] = [
    _stale,
    _twice,
    _by_another,
    _by_a_token_that_follows,
    _asked_otherwise,
    _released,
    _stolen,
    _acquired,
    _epochs,
    _unheard,
    _asked_twice,
    _renamed,
    _skipped,
    _only_once,
    _requested,
    _heirs,
    _declared,
    _tells_its_heartbeat,
    _unreadable,
    _of_an_older_release,
    _foreign_key,
    _carried_out,
    _dropped,
    _renamed_with_a_request,
    _resent,
    _planned_before,
    _marked,
    _to_the_millisecond,
    _suppressed,
    _after(_edited, b"replan", "claim", "skip", "defer"),
    _after(_removed, b"gone", "claim", "skip"),
    _after(_paused, b"replan", "claim", "skip", "defer"),
    _after(_moved, b"replan", "claim", "skip"),
    _after(_set_back, b"early", "claim"),
]
#: Of each script so many calls are tried in a run.
TRIED = 12


#: Some that are drawn, and lives in which a client renames or a holder is taken for crashed.
PLANS = [
    *(plan_of(seed) for seed in range(10)),
    *(
        lives.renames(1),
        lives.reconnects_beside_the_unheard(1),
        lives.deafened(0),
        lives.asked_oddly(0),
    ),
]


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: str(plan.seed))
def test_a_call_made_again_changes_nothing_that_it_may_not(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    sim = Simulation(plan)
    tried: dict[str, int] = {}
    run = Client.run

    def tried_first(
        self: Client, name: str, sha: str, text: str | None, keys: Any, args: Any
    ) -> Any:
        tried[name] = tried.get(name, 0) + 1
        if tried[name] <= TRIED and not sim.network.late and _knows(sim, sha):
            for check in CHECKS:
                check(Trial(sim, name, sha, keys, args))
        return run(self, name, sha, text, keys, args)

    monkeypatch.setattr(Client, "run", tried_first)
    assert sim.run().problems == []
    assert {"tick", "claim"} <= set(tried)


@pytest.mark.parametrize("name", sorted(FENCED))
def test_a_script_that_is_fenced_looks_at_the_token_first(name: str) -> None:
    """Also those that a few seeds hardly ever call."""
    sim = Simulation(plan_of(0))
    sim.server.call("SET", sim.keys.lease, OTHER, "PX", 1_000)
    found = script(name)
    args = ["98:me", 1_000, *["1"] * 20]
    assert sim.server.evalsha(found.sha, found.text, sim.keys.fixed, args)[0] == b"lost"
    assert sim.server.call("GET", sim.keys.lease) == OTHER.encode()


def _knows(sim: Simulation, sha: str) -> bool:
    return sha in sim.server._scripts
