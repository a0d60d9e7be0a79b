"""The sides that answer: the model, fakeredis, real servers; each under the same clock.

**Time.** The model's clock is ours, and the shipped text runs in it as it is. A server's is not:
there `lua/clock.lua` stands in front of a script and answers what a script can learn of time
(TIME, PTTL, the ids of XADD) from a moment that comes as an argument. Keys keep their expiry in
the server itself, as an absolute moment (PEXPIREAT, PXAT), so SET, HSET, DEL, RENAME do with it
whatever that server does; the play is set in the year 2100, where the server never acts on it
by itself, and keys whose moment has come are deleted in front of the next command.

**What is compared**: after every command its reply and the whole of databases 0 and 1: type,
content, order (of sorted sets, lists, streams with their ids), and the end of each key's time to
the millisecond.

**What is not**: when a real server notices that a key's time is over, and how it computes a
moment from PX (test_commands.py has that against the servers' own clocks, in plain commands);
the order in which HGETALL, HSCAN, SDIFF list (`lua/order.lua` sorts, on all sides); how many
records `XTRIM ~` leaves above its bound (trimmed exactly here); who hears a PUBLISH; the wording
of errors behind the words of `comparison.PHRASES`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import redis

from tests.integration.conformance.steps import (
    KEYS,
    LISTEN,
    PLAIN,
    UNLISTEN,
    Step,
    prologue,
    text_of,
)
from tests.verification.simulation.model import Lua, ReplyError
from tests.verification.simulation.model import Server as Model

#: Where (database and key) -> kind, content, end of its time in ms (-1 without one).
State = dict[bytes, tuple[bytes, bytes, int]]
PACKET = 25
_LISTENING = (LISTEN, UNLISTEN)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The reply to a step, or its error, and what all keys then are."""

    reply: Any
    state: State


def sha1(raw: bytes) -> str:
    return hashlib.sha1(raw, usedforsecurity=False).hexdigest()


def checksum(raw: bytes) -> str:
    """What lua/checksum.lua says."""
    return f"{len(raw)}-{sum(n * byte for n, byte in enumerate(raw, 1)) % 2147483647}"


def _read_state(flat: list[Any]) -> State:
    return {flat[n]: (flat[n + 1], flat[n + 2], flat[n + 3]) for n in range(0, len(flat), 4)}


class ModelSide:
    """The model of the simulation."""

    name = "model"

    def __init__(self, lua: Lua | None = None, *, plain_sums: bool = False) -> None:
        self.digest = checksum if plain_sums else sha1
        self.plain_sums = plain_sums
        self._prologues = (*(("checksum",) if plain_sums else ()), "order")
        self._at_us = 0
        self.server = Model(lambda: self._at_us, lua)

    def reset(self) -> None:
        """As if it had just begun."""
        self.server.empty()
        for channel in list(self.server.subscribers):
            self.server.unsubscribe(channel, self)

    def play(self, step: Step) -> Outcome:
        """Do a step."""
        reply = self.ask(step)
        return Outcome(reply, _read_state(self._eval(prologue("state"), ())))

    def ask(self, step: Step) -> Any:
        """The reply alone."""
        self._at_us = step.at_us
        if step.name in _LISTENING:
            channel = KEYS.alive(str(step.args[0])).encode()
            listens = step.name == LISTEN
            (self.server.subscribe if listens else self.server.unsubscribe)(channel, self)
            return None
        try:
            return self._eval(self.text_of(step.name), (int(step.deaf), *step.args))
        except ReplyError as error:
            return error

    def text_of(self, name: str) -> str:
        """The text that is run for it."""
        return text_of(name, self._prologues)

    def _eval(self, text: str, args: tuple[Any, ...]) -> Any:
        return self.server.evalsha(text, text, KEYS.fixed, args)


class ServerSide:
    """A server that speaks Redis' protocol: a real one, or fakeredis."""

    def __init__(self, name: str, client: redis.Redis, *, plain_sums: bool = False) -> None:
        self.name = name
        self._client = client
        self._prologues = ("clock", *(("checksum",) if plain_sums else ()), "order")
        self._channels: dict[str, Any] = {}
        self._state = self._load(prologue("state"))

    def reset(self) -> None:
        """As if it had just begun."""
        self._client.flushall()
        for nonce in list(self._channels):
            self._channels.pop(nonce).close()

    def play(self, steps: Sequence[Step], overs: Sequence[Sequence[bytes]]) -> Iterator[Outcome]:
        """Do these steps. `overs`: for each, the keys whose time is over before it.

        They are sent in packets: on a busy machine, each switch between two processes is expensive.
        """
        packet: list[tuple[Any, ...]] = []
        for step, over in zip(steps, overs, strict=True):
            if step.name in _LISTENING:
                yield from self._send(packet)
                packet = []
                self._listen(str(step.args[0]), step.name == LISTEN)
            packet.append(self._words_of(step, over))
            if len(packet) == PACKET:
                yield from self._send(packet)
                packet = []
        yield from self._send(packet)

    def _words_of(self, step: Step, over: Sequence[bytes]) -> tuple[Any, ...]:
        gone = [word for where in over for word in where.split(b" ", 1)]
        name, args = step.name, step.args
        if name in _LISTENING:
            name, args = PLAIN, ("EXISTS", "nothing")
        sha = self._load(text_of(name, self._prologues))
        words = (step.at_us, len(over), *gone, int(step.deaf), *args)
        return ("EVALSHA", sha, len(KEYS.fixed), *KEYS.fixed, *words)

    def _send(self, packet: Sequence[tuple[Any, ...]]) -> Iterator[Outcome]:
        if not packet:
            return
        with self._client.pipeline(transaction=False) as pipe:
            for words in packet:
                pipe.execute_command(*words)
                pipe.execute_command("EVALSHA", self._state, 0)
            replies = pipe.execute(raise_on_error=False)
        for reply, flat in zip(replies[::2], replies[1::2], strict=True):
            if isinstance(flat, Exception):
                raise flat
            yield Outcome(reply, _read_state(flat))

    @cache  # noqa: B019 - a side lives as long as its test
    def _load(self, text: str) -> str:
        return str(self._client.script_load(text))

    def _listen(self, nonce: str, listens: bool) -> None:
        if listens and nonce not in self._channels:
            channel = self._channels[nonce] = self._client.pubsub()
            channel.subscribe(KEYS.alive(nonce))
            channel.get_message(timeout=5)
        elif not listens and nonce in self._channels:
            channel = self._channels.pop(nonce)
            channel.unsubscribe()
            channel.get_message(timeout=5)
            channel.close()
