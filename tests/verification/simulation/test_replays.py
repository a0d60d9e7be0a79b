"""Every fenced call that the shipped engine makes, made again when something has changed meanwhile.

A few seeds are run; before each call of a script the server's data is kept, one thing is changed,
the very same call is made, its answer and its writes are looked at, and the data is put back. So
each comparison of a script is missed here by what it lets through, with the arguments that the
engine really sends, and not only by the test that was written for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from habeat.entries.codec import decode
from habeat.store.scripting import script
from tests.verification.simulation.model import Words
from tests.verification.simulation.network import Client
from tests.verification.simulation.plan import plan_of
from tests.verification.simulation.run import Simulation

OTHER = "99:somebody else"
FENCED = {
    *("tick", "claim", "skip", "mark", "recover", "defer", "drop", "quarantine", "prune"),
    *("write", "remove"),
}
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
        """The server's data is put back afterwards, and nobody hears of it."""
        server, before = self.server, self.server.snapshot()
        heard = server.on_write, server.told, server.after_script, server.now_us
        server.on_write, server.told = self._log.append, lambda *_: None
        server.after_script = lambda: None
        try:
            yield
        finally:
            server.on_write, server.told, server.after_script, server.now_us = heard
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
    """Whose answer was lost calls again: nothing is done twice, and it learns what was done."""
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
    """What has been settled is known by its key, as long as that lives."""
    for at in range(2, len(trial.args), 4):
        key = f"{trial.sim.keys.base}fired:{trial.args[at]}:{trial.args[at + 1]}"
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
    """Which firings or moves are taken as things are; none if a request is among them."""
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
    """Nothing is taken before its effective time, and it is taken then."""
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
    """By somebody whose cursor has been lost."""
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
    """The same process leads anew: what it claimed before is not its own claim of now."""
    if trial.name != "claim":
        return
    again = f"99:{str(trial.args[0]).partition(':')[2]}"
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
    """Who has no subscriber cannot tell that another has none."""
    if trial.name != "steal" or trial.args[7] != "crash":
        return
    server: Any = trial.server
    own = trial.sim.keys.alive(trial.args[0]).encode()
    with trial.apart():
        server._lua.listen(server._server, own, 0)
        reply = trial.again()
        server._lua.listen(server._server, own, len(server.subscribers.get(own, ())))
        if reply[0] != b"refused" or trial.writes:
            trial.fails("by somebody who is not heard", reply)


def _asked_twice(trial: Trial) -> None:
    """A request's id is used once; whose answer was lost is answered as before."""
    if trial.name != "request":
        return
    with trial.apart():
        first, second = trial.again()[0], trial.again()[0]
        trial.args[4:5] = ["another call"]
        third = trial.again()[0]
        if first == b"ok" and (second, third) != (b"ok", b"known"):
            trial.fails("again and again", (first, second, third))


def _renamed(trial: Trial) -> None:
    """What was due under the old name is due under the new one, and no more under the old."""
    if trial.name != "rename":
        return
    due, old = trial.sim.keys.due, trial.args[0]
    with trial.apart():
        if trial.again()[0] == b"ok":
            names = trial.call("ZRANGEBYSCORE", due, "-inf", "+inf")
            if str(old).encode() in names:
                trial.fails("leaves the old name due", names)


def _acquired(trial: Trial) -> None:
    """Whose answer was lost has the same token; a lease that is held is left alone."""
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
    known = {str(arg).encode() if not isinstance(arg, bytes) else arg for arg in trial.args}
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


@pytest.mark.parametrize("seed", range(10))
def test_a_call_made_again_changes_nothing_that_it_may_not(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sim = Simulation(plan_of(seed))
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
