"""The model of Redis as the shipped store reaches it: a client of plain calls, no network."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from redis.exceptions import ResponseError

from tests.verification.simulation.model import ReplyError, Server


class Clock:
    """The host's clocks and the server's are one."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def monotonic_us(self) -> int:
        return self.now_ms * 1_000

    def wall_ms(self) -> int:
        return self.now_ms


class Store(Server):
    """The model of Redis; counts what is written and keeps the ledger's records as they come."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock.monotonic_us)
        self.ledger: list[tuple[bytes, dict[bytes, bytes]]] = []
        self.writes = 0
        self._clock = clock
        self.on_write = self._wrote
        self.watch("")

    def _wrote(self, words: Sequence[bytes]) -> None:
        self.writes += 1
        if words[0] == b"XADD" and words[1].endswith(b":ledger"):
            identity = b"%d-%d" % (self._clock.now_ms, len(self.ledger))
            self.ledger.append((identity, pairs(words[3:])))


class Plain:
    """What the store uses of redis-py, without a network."""

    def __init__(self, server: Store) -> None:
        self._server = server
        self._replies: list[Any] | None = None

    def evalsha(self, sha: str, numkeys: int, *words: Any) -> Any:
        return self._run(sha, None, words[:numkeys], words[numkeys:])

    def eval(self, text: str, numkeys: int, *words: Any) -> Any:
        sha = hashlib.sha1(text.encode()).hexdigest()
        return self._run(sha, text, words[:numkeys], words[numkeys:])

    def _run(self, sha: str, text: str | None, keys: Any, words: Any) -> Any:
        try:
            sent = [word.encode() if isinstance(word, str) else word for word in words]
            return self._server.evalsha(sha, text, keys, sent)
        except ReplyError as error:
            raise ResponseError(str(error)) from error

    def hkeys(self, key: str) -> Any:
        return list(self.hgetall(key))

    def hgetall(self, key: str) -> Any:
        return self._kept(pairs(self._server.call("HGETALL", key)))

    def hmget(self, key: str, *names: Any) -> Any:
        flat = names[0] if len(names) == 1 and not isinstance(names[0], str) else names
        return self._server.call("HMGET", key, *flat)

    def hscan(self, key: str, cursor: int, count: int) -> Any:
        return 0, pairs(self._server.call("HSCAN", key, cursor)[1])

    def zcount(self, key: str, low: str, high: str) -> int:
        return len(self._server.call("ZRANGEBYSCORE", key, low, int(high.strip("(")) - 1))

    def zrange(self, key: str, first: int, last: int, withscores: bool = True) -> Any:
        found = self._server.call("ZRANGEBYSCORE", key, "-inf", "+inf", "WITHSCORES")
        pairs = [(name, float(score)) for name, score in zip(found[::2], found[1::2], strict=True)]
        return self._kept(pairs if last == -1 else pairs[first : last + 1])

    def get(self, key: str) -> Any:
        return self._kept(self._server.call("GET", key))

    def pttl(self, key: str) -> Any:
        return self._kept(self._server.call("PTTL", key))

    def hlen(self, key: str) -> Any:
        return self._kept(self._server.call("HLEN", key))

    def zcard(self, key: str) -> Any:
        return self._kept(self._server.call("ZCARD", key))

    def xrevrange(self, key: str, max: str, min: str, count: int) -> Any:
        return list(reversed(self._server.ledger))[:count] if key.endswith(":ledger") else []

    def pipeline(self, transaction: bool) -> Plain:
        made = Plain(self._server)
        made._replies = []
        return made

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        assert self._replies is not None
        return self._replies

    def _kept(self, reply: Any) -> Any:
        if self._replies is not None:
            self._replies.append(reply)
        return reply


def pairs(flat: Sequence[Any]) -> dict[Any, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


class Connections:
    """`calling.Clients`, and what the Client makes its own with."""

    def __init__(self, server: Store) -> None:
        self._client = Plain(server)

    def client(self) -> Any:
        return self._client

    def reset(self) -> None:
        """There is nothing to reset."""

    def close(self) -> None:
        """Nor to close."""
