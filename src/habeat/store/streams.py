"""A stream of records, read page by page: the ledger, the events, the change log."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from habeat.store.calling import text

#: A record's id, and its fields.
Item = tuple[bytes, Mapping[bytes, bytes]]
#: Calls Redis, such as `Caller.do`.
Do = Callable[[Callable[[Any], Sequence[Item]]], Sequence[Item]]


def ids(since_ms: int | None, until_ms: int | None = None) -> tuple[str, str]:
    """The bounds of the records that were written in this time, by Redis' clock."""
    low, high = (None if at is None else str(max(0, at)) for at in (since_ms, until_ms))
    return low or "-", high or "+"


def pages_of_stream(
    do: Do, key: str, low: str, high: str, size: int, *, newest_first: bool = True
) -> Iterator[Sequence[Item]]:
    """The records from id `low` to id `high`, up to `size` at a time."""
    while True:
        page = do(partial(_page, key, (low, high), size, newest_first))
        yield page
        if len(page) < size:
            return
        last = text(page[-1][0])
        low, high = (low, f"({last}") if newest_first else (f"({last}", high)


def order_of(identity: str) -> tuple[int, int]:
    """The key by which ids are in order; a damaged id comes first."""
    at_ms, _, place = identity.partition("-")
    return _part(at_ms), _part(place)


def _page(
    key: str, bounds: tuple[str, str], size: int, newest_first: bool, client: Any
) -> Sequence[Item]:
    low, high = bounds
    if newest_first:
        return list(client.xrevrange(key, max=high, min=low, count=size))
    return list(client.xrange(key, min=low, max=high, count=size))


def _part(word: str) -> int:
    return int(word) if word.isascii() and word.isdigit() else 0
