"""What a shadow would have sent, what it saw another beat send, and when it watched.

`:shadow` is a sorted set of both, by time. A member is JSON: the claim script writes what would
have been sent (beat/shadow/description.py), the watcher what was seen. `:watched` has the periods
in which the watcher was connected, each as a field with its start and a value with its end. Both
keys are held to the age and the length of the ledger.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from habeat.core.comparison import Kind, Message, Slot
from habeat.store.calling import Caller, optional_ms, text

PAGE = 1_000
#: Members removed by one command.
TRIMMED = 1_000
PERIODS_KEPT = 10_000


class ShadowLog:
    """Reads and writes the two keys. StoreUnavailable."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def now_ms(self) -> int:
        """Redis' time."""
        return self._caller.now_ms()

    def saw(self, messages: Sequence[Message], watched: tuple[str, int, int]) -> None:
        """Store messages, and that they were watched for: the id of the period, start and end."""
        keys = self._caller.keys
        identity, start_ms, end_ms = watched

        def write(client: Any) -> None:
            pipe = client.pipeline(transaction=False)
            if messages:
                pipe.zadd(keys.shadow, {_written(each): each.at_ms for each in messages}, nx=True)
            pipe.hset(keys.watched, f"{start_ms}:{identity}", end_ms)
            pipe.execute()

        self._caller.do(write)

    def trim(self, age_ms: int, length: int) -> bool:
        """Remove some of what is too old or too much; returns whether more may be left."""
        keys = self._caller.keys
        oldest_ms = self.now_ms() - age_ms
        excess = int(self._caller.do(lambda client: client.zcard(keys.shadow))) - length
        old = self._caller.do(
            lambda client: client.zrange(
                keys.shadow, "-inf", oldest_ms, byscore=True, offset=0, num=TRIMMED
            )
        )
        if old:
            self._caller.do(lambda client: client.zrem(keys.shadow, *old))
        elif excess > 0:
            last = min(excess, TRIMMED) - 1
            first: Any = self._caller.do(lambda client: client.zrange(keys.shadow, 0, last))
            self._caller.do(lambda client: client.zrem(keys.shadow, *first))
        self._forget_periods(oldest_ms)
        return len(old) == TRIMMED or excess > TRIMMED

    def _forget_periods(self, oldest_ms: int) -> None:
        key = self._caller.keys.watched
        found: Any = self._caller.do(lambda client: client.hgetall(key))
        ends = sorted((optional_ms(end) or 0, field) for field, end in found.items())
        excess = len(ends) - PERIODS_KEPT
        gone = [
            field for at, (end_ms, field) in enumerate(ends) if end_ms < oldest_ms or at < excess
        ]
        if gone:
            self._caller.do(lambda client: client.hdel(key, *gone))

    def periods(self) -> list[tuple[int, int]]:
        """When it watched, as start and end in ms; unreadable fields are left out."""
        key = self._caller.keys.watched
        found: Any = self._caller.do(lambda client: client.hgetall(key))
        read = (
            (optional_ms(text(field).partition(":")[0]), optional_ms(end))
            for field, end in found.items()
        )
        return [(start, end) for start, end in read if start is not None and end is not None]

    def tasks(self, limit: int) -> set[str]:
        """The tasks of the last `limit` records."""
        key = self._caller.keys.shadow
        found: Any = self._caller.do(lambda client: client.zrange(key, 0, limit - 1, desc=True))
        read = (_read(raw, 0, {}) for raw in found)
        return {each.kind.task for each in read if isinstance(each, Slot)}

    def between(self, from_ms: int, to_ms: int) -> Iterator[Slot | Message]:
        """What would have been sent and what was seen, by time."""
        key, offset_ms, passed = self._caller.keys.shadow, from_ms, 0
        kinds: dict[Kind, Kind] = {}  # many records share a few
        while True:
            page = self._page(key, offset_ms, to_ms, passed)
            for raw, at in page:
                found = _read(raw, int(at), kinds)
                if found is not None:
                    yield found
            if len(page) < PAGE:
                return
            last_ms = int(page[-1][1])
            same = sum(1 for _, at in page if int(at) == last_ms)
            # Pages continue by time, because an offset from the start would be counted each time.
            passed = passed + same if last_ms == offset_ms else same
            offset_ms = last_ms

    def _page(self, key: str, from_ms: int, to_ms: int, passed: int) -> Sequence[tuple[bytes, Any]]:
        found: Any = self._caller.do(
            lambda client: client.zrange(
                key, from_ms, to_ms, byscore=True, withscores=True, offset=passed, num=PAGE
            )
        )
        return list(found)


def _written(message: Message) -> bytes:
    kind = message.kind
    words = {
        "saw": message.id,
        "task": kind.task,
        "queue": kind.queue,
        "arguments": kind.arguments,
        "sender": message.sender,
    }
    return json.dumps(words, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _read(raw: bytes, at_ms: int, kinds: dict[Kind, Kind]) -> Slot | Message | None:
    """One member; None if it cannot be read, as another program may have written it."""
    try:
        found = json.loads(raw)
        kind = Kind(str(found["task"]), str(found["queue"]), str(found["arguments"]))
        kind = kinds.setdefault(kind, kind)
        if "would" in found:
            period = found["period"]
            entry = sys.intern(str(found["would"]))
            return Slot(entry, at_ms, kind, None if period is None else int(period))
        return Message(str(found["saw"]), at_ms, kind, sys.intern(str(found["sender"])))
    except Exception:
        return None
