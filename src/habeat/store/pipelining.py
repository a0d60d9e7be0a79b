"""A script call that is sent now and read later, so that its caller can work meanwhile.

The same as `Caller.run`, in two halves: one connection of the pool is taken, the request is
written to it, and only `result` waits for the answer. Between the two the server works on this
batch and we on the next. A call that is never read (its caller failed on the way) costs its
connection, unless it has been answered: `drop` closes it, for an answer left in it would be taken
for that of another call.

Only a plain client has such a connection to give; of a Cluster, and of anything that is not
redis-py's, the call is made at once, and `result` only hands the answer out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import redis
from redis.exceptions import NoScriptError, RedisError

from habeat.store.scripting import Script

Word = bytes | str | int


class Exchange:
    """One request that is under way, and the connection that its answer comes by."""

    def __init__(
        self, client: Any, script: Script, keys: tuple[str, ...], args: tuple[Any, ...]
    ) -> None:
        self._again: Callable[[], Any] = lambda: script.run(client, keys, *plain(args))
        self._connection: Any = None
        self._reply: Any = None
        self._pool: Any = None
        if type(client) is not redis.Redis:
            self._reply = self._again()
            return
        self._pool = client.connection_pool
        self._connection = taken(self._pool)
        try:
            request = packed(("EVALSHA", script.sha, len(keys), *keys, *args))
            self._connection.send_packed_command([request])
        except BaseException:
            self.drop()
            raise

    def result(self) -> Any:
        """The answer, or the error that the call ended with."""
        connection, self._connection = self._connection, None
        if connection is None:
            return self._reply
        try:
            return connection.read_response()
        except NoScriptError:
            pass
        except AttributeError as error:  # redis-py's parser, where another call has closed it
            raise redis.ConnectionError("the connection was closed meanwhile") from error
        finally:
            self._pool.release(connection)
        return self._again()

    def has_come(self) -> bool:
        """Whether the answer is there to be read, over a connection that may yet be closed."""
        with contextlib.suppress(RedisError, OSError, AttributeError):
            return self._connection is not None and bool(self._connection.can_read(timeout=0))
        return False

    def drop(self) -> Any:
        """Wait no longer; what it was answered if that has come already, else None."""
        connection, self._connection = self._connection, None
        if connection is None:
            return self._reply
        with contextlib.suppress(RedisError, OSError, AttributeError):
            if connection.can_read(timeout=0):
                reply = connection.read_response()
                self._pool.release(connection)
                return reply
        with contextlib.suppress(RedisError, OSError):
            connection.disconnect()
        self._pool.release(connection)
        return None


@dataclass(frozen=True, slots=True)
class Packed:
    """Words of a request that have been packed before the request is made."""

    words: Sequence[Word]
    raw: bytes

    @classmethod
    def of(cls, words: Sequence[Word]) -> Packed:
        return cls(words, b"".join(map(_packed, words)))


def packed(words: Iterable[Word | Packed]) -> bytes:
    """A request as it goes over the wire (RESP); redis-py takes three times as long for a batch."""
    parts, count = [], 0
    for word in words:
        if isinstance(word, Packed):
            parts.append(word.raw)
            count += len(word.words)
        else:
            parts.append(_packed(word))
            count += 1
    return b"*%d\r\n%b" % (count, b"".join(parts))


def plain(words: Iterable[Word | Packed]) -> Iterator[Word]:
    """The same words, each by itself, for a client that packs them again."""
    for word in words:
        if isinstance(word, Packed):
            yield from word.words
        else:
            yield word


def wire(word: Word) -> bytes:
    """A word as bytes; the reverse of `calling.text` for what is not UTF-8."""
    if type(word) is bytes:
        return word
    try:
        return str(word).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a lone surrogate that never was a byte: it can only be shown
        return str(word).encode("utf-8", "backslashreplace")


def _packed(word: Word) -> bytes:
    raw = word if type(word) is bytes else wire(word)
    return b"$%d\r\n%b\r\n" % (len(raw), raw)


def taken(pool: Any) -> Any:
    """A connection; redis-py before 5.3 wants to know for which command."""
    try:
        return pool.get_connection()
    except TypeError:
        return pool.get_connection("EVALSHA")
