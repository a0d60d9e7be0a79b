"""An in-memory model of the Redis commands that habeat's scripts use, and Lua to run them.

It is not a Redis: it has one thread, exact arguments, and only what is called. The shipped
scripts run in it unchanged (`lupa`, Lua 5.1). `tests/conformance` holds it to real servers.
Memory is a plain dictionary, so a snapshot is a copy, and restoring it is losing data.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterable
from typing import Any

from lupa.lua51 import LuaError, LuaRuntime, lua_type
from redis.exceptions import NoScriptError

Words = tuple[Any, ...]


class ReplyError(Exception):
    """What a server answers with a minus sign."""


class Sorted(dict[bytes, float]):
    """A sorted set."""

    def ordered(self) -> list[tuple[bytes, float]]:
        return sorted(self.items(), key=lambda item: (item[1], item[0]))


class Stream(list[tuple[bytes, list[bytes]]]):
    """A stream: (id, fields) in order."""


KINDS: dict[type, str] = {
    bytes: "string",
    dict: "hash",
    Sorted: "zset",
    set: "set",
    list: "list",
    Stream: "stream",
}


class Server:
    """One server: databases, subscriptions, a clock in microseconds that the test owns."""

    def __init__(self, now_us: Callable[[], int]) -> None:
        self.now_us = now_us
        self.databases: dict[int, dict[bytes, Any]] = {0: {}}
        self.expires: dict[tuple[int, bytes], int] = {}
        self.subscribers: dict[bytes, dict[Any, None]] = {}
        self.db = 0
        self.told: Callable[[bytes, bytes], None] = lambda channel, message: None
        self.on_write: Callable[[str, Words], None] = lambda name, words: None
        self.after_script: Callable[[], None] = lambda: None
        self._scripts: dict[str, Any] = {}
        self._sources: dict[str, str] = {}
        self._lua = _runtime(self)

    # -- data -------------------------------------------------------------------------------

    def snapshot(self) -> Any:
        """The data as it is now, for `restore`."""
        return copy.deepcopy((self.databases, self.expires))

    def restore(self, snapshot: Any) -> None:
        self.databases, self.expires = copy.deepcopy(snapshot)

    def empty(self) -> None:
        self.databases, self.expires = {0: {}}, {}

    def _data(self) -> dict[bytes, Any]:
        return self.databases.setdefault(self.db, {})

    def _get(self, key: bytes, kind: type, make: bool = False) -> Any:
        data = self._data()
        ends_us = self.expires.get((self.db, key))
        if ends_us is not None and ends_us <= self.now_us():
            data.pop(key, None)
            del self.expires[self.db, key]
        value = data.get(key)
        if value is None:
            if not make:
                return None
            value = data[key] = kind()
        if type(value) is not kind:
            raise ReplyError("WRONGTYPE Operation against a key holding the wrong kind of value")
        return value

    def _raw(self, key: bytes) -> Any:
        ends_us = self.expires.get((self.db, key))
        if ends_us is not None and ends_us <= self.now_us():
            self._data().pop(key, None)
            del self.expires[self.db, key]
        return self._data().get(key)

    def _tidy(self, key: bytes) -> None:
        if not self._data().get(key, True) and not isinstance(self._data()[key], (bytes, Stream)):
            del self._data()[key]
            self.expires.pop((self.db, key), None)

    # -- calls ------------------------------------------------------------------------------

    def call(self, *words: Any) -> Any:
        """One command as a client sends it; ReplyError."""
        name = _bytes(words[0]).decode()
        arguments = tuple(_bytes(word) for word in words[1:])
        reply = getattr(self, f"cmd_{name.lower()}")(*arguments)
        if name in ("SET", "HSET"):
            self.on_write(name, arguments)
        return reply

    def evalsha(self, sha: str, text: str | None, keys: Iterable[Any], args: Iterable[Any]) -> Any:
        """Run a script, atomically; `text` is needed the first time."""
        run = self._scripts.get(sha)
        if run is None:
            if text is None:
                raise NoScriptError("NOSCRIPT No matching script.")
            run = self._scripts[sha] = self._lua.compile(text.encode())
        globals_ = self._lua.globals()
        globals_[b"KEYS"] = self._table([_bytes(key) for key in keys])
        globals_[b"ARGV"] = self._table([_bytes(arg) for arg in args])
        home = self.db
        try:
            reply = self._reply(run())
            self.after_script()
            return reply
        except LuaError as error:
            raise ReplyError(str(error)) from error
        finally:
            self.db = home

    # -- Lua --------------------------------------------------------------------------------

    def _table(self, items: list[Any]) -> Any:
        return self._lua.table_from(items)

    def to_lua(self, value: Any) -> Any:
        """A command's reply as a script sees it."""
        if value is None:
            return False
        if isinstance(value, (list, tuple)):
            return self._table([self.to_lua(item) for item in value])
        if isinstance(value, Status):
            return self._lua.table_from({b"ok": value.word})
        if isinstance(value, bool):
            return int(value)
        return value

    def _reply(self, value: Any) -> Any:
        """A script's result as a client sees it."""
        if value is None or value is False:
            return None
        if value is True:
            return 1
        if isinstance(value, float):
            return int(value)
        if lua_type(value) == "table":
            if value[b"err"] is not None:
                raise ReplyError(value[b"err"].decode())
            if value[b"ok"] is not None:
                return value[b"ok"]
            items = []
            index = 1
            while value[index] is not None:
                items.append(self._reply(value[index]))
                index += 1
            return items
        return value

    def redis_call(self, *words: Any) -> Any:
        """`redis.call` of a script."""
        return self.to_lua(self.call(*(_number(word) for word in words)))

    def redis_pcall(self, *words: Any) -> Any:
        """`redis.pcall` of a script."""
        try:
            return self.redis_call(*words)
        except ReplyError as error:
            return self._lua.table_from({b"err": str(error).encode()})

    # -- commands ---------------------------------------------------------------------------

    def cmd_time(self) -> list[bytes]:
        now_us = self.now_us()
        return [b"%d" % (now_us // 1_000_000), b"%d" % (now_us % 1_000_000)]

    def cmd_select(self, db: bytes) -> Status:
        self.db = int(db)
        return Status(b"OK")

    def cmd_type(self, key: bytes) -> Status:
        value = self._raw(key)
        return Status(b"none" if value is None else KINDS[type(value)].encode())

    def cmd_exists(self, *keys: bytes) -> int:
        return sum(self._raw(key) is not None for key in keys)

    def cmd_del(self, *keys: bytes) -> int:
        gone = [key for key in keys if self._raw(key) is not None]
        for key in gone:
            del self._data()[key]
            self.expires.pop((self.db, key), None)
        return len(gone)

    def cmd_get(self, key: bytes) -> bytes | None:
        value: bytes | None = self._get(key, bytes)
        return value

    def cmd_set(self, key: bytes, value: bytes, *options: bytes) -> Status | None:
        words = [option.upper() for option in options]
        there = self._raw(key) is not None
        if (b"NX" in words and there) or (b"XX" in words and not there):
            return None
        self._data()[key] = value
        self.expires.pop((self.db, key), None)
        if b"PX" in words:
            self.cmd_pexpire(key, options[words.index(b"PX") + 1])
        return Status(b"OK")

    def cmd_pexpire(self, key: bytes, ttl_ms: bytes) -> int:
        if self._raw(key) is None:
            return 0
        self.expires[self.db, key] = self.now_us() + int(ttl_ms) * 1_000
        return 1

    def cmd_pttl(self, key: bytes) -> int:
        if self._raw(key) is None:
            return -2
        ends_us = self.expires.get((self.db, key))
        return -1 if ends_us is None else (ends_us - self.now_us() + 500) // 1_000

    def cmd_hset(self, key: bytes, *pairs: bytes) -> int:
        value = self._get(key, dict, make=True)
        new = 0
        for field, item in zip(pairs[::2], pairs[1::2], strict=True):
            new += field not in value
            value[field] = item
        return new

    def cmd_hsetnx(self, key: bytes, field: bytes, item: bytes) -> int:
        value = self._get(key, dict, make=True)
        if field in value:
            return 0
        value[field] = item
        return 1

    def cmd_hget(self, key: bytes, field: bytes) -> bytes | None:
        found: bytes | None = (self._get(key, dict) or {}).get(field)
        return found

    def cmd_hmget(self, key: bytes, *fields: bytes) -> list[bytes | None]:
        value = self._get(key, dict) or {}
        return [value.get(field) for field in fields]

    def cmd_hgetall(self, key: bytes) -> list[bytes]:
        value = self._get(key, dict) or {}
        return [word for pair in value.items() for word in pair]

    def cmd_hkeys(self, key: bytes) -> list[bytes]:
        return list(self._get(key, dict) or {})

    def cmd_hdel(self, key: bytes, *fields: bytes) -> int:
        value = self._get(key, dict) or {}
        gone = sum(value.pop(field, None) is not None for field in fields)
        self._tidy(key)
        return gone

    def cmd_hexists(self, key: bytes, field: bytes) -> int:
        return int(field in (self._get(key, dict) or {}))

    def cmd_hlen(self, key: bytes) -> int:
        return len(self._get(key, dict) or {})

    def cmd_hincrby(self, key: bytes, field: bytes, by: bytes) -> int:
        value = self._get(key, dict, make=True)
        number = int(value.get(field, b"0")) + int(float(by))
        value[field] = b"%d" % number
        return number

    def cmd_hscan(self, key: bytes, _cursor: bytes, *_: bytes) -> list[Any]:
        return [b"0", self.cmd_hgetall(key)]

    def cmd_zadd(self, key: bytes, *pairs: bytes) -> int:
        value = self._get(key, Sorted, make=True)
        new = 0
        for score, member in zip(pairs[::2], pairs[1::2], strict=True):
            new += member not in value
            value[member] = float(score)
        return new

    def cmd_zrem(self, key: bytes, *members: bytes) -> int:
        value = self._get(key, Sorted) or {}
        gone = sum(value.pop(member, None) is not None for member in members)
        self._tidy(key)
        return gone

    def cmd_zscore(self, key: bytes, member: bytes) -> bytes | None:
        score = (self._get(key, Sorted) or {}).get(member)
        return None if score is None else _score(score)

    def cmd_zcard(self, key: bytes) -> int:
        return len(self._get(key, Sorted) or {})

    def cmd_zrangebyscore(
        self, key: bytes, low: bytes, high: bytes, *options: bytes
    ) -> list[bytes]:
        found = [
            pair
            for pair in (self._get(key, Sorted) or Sorted()).ordered()
            if _bound(low) <= pair[1] <= _bound(high)
        ]
        words = [option.upper() for option in options]
        if b"LIMIT" in words:
            at = words.index(b"LIMIT")
            offset, count = int(float(options[at + 1])), int(float(options[at + 2]))
            found = found[offset:] if count < 0 else found[offset : offset + count]
        if b"WITHSCORES" in words:
            return [word for member, score in found for word in (member, _score(score))]
        return [member for member, _ in found]

    def cmd_sadd(self, key: bytes, *members: bytes) -> int:
        value = self._get(key, set, make=True)
        new = len(set(members) - value)
        value.update(members)
        return new

    def cmd_srem(self, key: bytes, *members: bytes) -> int:
        value = self._get(key, set) or set()
        gone = len(value & set(members))
        value.difference_update(members)
        self._tidy(key)
        return gone

    def cmd_scard(self, key: bytes) -> int:
        return len(self._get(key, set) or ())

    def cmd_sdiff(self, first: bytes, *others: bytes) -> list[bytes]:
        found = set(self._get(first, set) or ())
        for other in others:
            found -= self._get(other, set) or set()
        return sorted(found)

    def cmd_lpush(self, key: bytes, *values: bytes) -> int:
        value = self._get(key, list, make=True)
        for item in values:
            value.insert(0, item)
        return len(value)

    def cmd_lrange(self, key: bytes, start: bytes, stop: bytes) -> list[bytes]:
        value = self._get(key, list) or []
        end = int(stop)
        return value[int(start) :] if end == -1 else value[int(start) : end + 1]

    def cmd_xadd(self, key: bytes, _star: bytes, *fields: bytes) -> bytes:
        value = self._get(key, Stream, make=True)
        now_ms, sequence = self.now_us() // 1_000, 0
        if value:
            last_ms, last = (int(part) for part in value[-1][0].split(b"-"))
            if last_ms >= now_ms:
                now_ms, sequence = last_ms, last + 1
        identity = b"%d-%d" % (now_ms, sequence)
        value.append((identity, list(fields)))
        return identity

    def cmd_xtrim(self, key: bytes, how: bytes, _about: bytes, bound: bytes) -> int:
        return 0

    def cmd_publish(self, channel: bytes, message: bytes) -> int:
        self.told(channel, message)
        return len(self.subscribers.get(channel, ()))

    def cmd_pubsub(self, what: bytes, *channels: bytes) -> list[Any]:
        assert what.upper() == b"NUMSUB"
        counts: list[Any] = []
        for channel in channels:
            counts += [channel, len(self.subscribers.get(channel, ()))]
        return counts


class Status:
    """A status reply."""

    def __init__(self, word: bytes) -> None:
        self.word = word


def _runtime(server: Server) -> Any:
    lua = LuaRuntime(unpack_returned_tuples=True, encoding=None)
    globals_ = lua.globals()
    redis = lua.table_from({})
    redis[b"call"] = server.redis_call
    redis[b"pcall"] = server.redis_pcall
    redis[b"sha1hex"] = lambda text: hashlib.sha1(_bytes(text)).hexdigest().encode()
    redis[b"error_reply"] = lambda text: lua.table_from({b"err": text})
    redis[b"status_reply"] = lambda text: lua.table_from({b"ok": text})
    globals_[b"redis"] = redis
    return lua


def _bytes(word: Any) -> bytes:
    if isinstance(word, bytes):
        return word
    if isinstance(word, float) and word == int(word):
        return b"%d" % int(word)
    return str(word).encode()


def _number(word: Any) -> Any:
    return int(word) if isinstance(word, float) and word == int(word) else word


def _score(score: float) -> bytes:
    return b"%d" % int(score) if score == int(score) else repr(score).encode()


def _bound(word: bytes) -> float:
    return float(word)
