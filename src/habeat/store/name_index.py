"""The index of entry names, used to list and count them; and the names of orphans."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from habeat.store.calling import Caller, text

#: Where rebuilding the index starts.
REINDEX: tuple[str, bytes] = ("entries", b"")


class NameIndex:
    """Names in byte order, which is also the order of their code points."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def page(self, prefix: str, after: bytes, count: int) -> list[bytes] | None:
        """The next names with this prefix, in order; None if the index must be rebuilt first."""
        reply = self._caller.run("names", prefix, after, count)
        return [bytes(name) for name in reply[1:]] if text(reply[0]) == "ok" else None

    def count(self, prefix: str) -> int | None:
        """The number of names with this prefix; None if the index must be rebuilt first."""
        reply = self._caller.run("count", prefix)
        return int(reply[1]) if text(reply[0]) == "ok" else None

    def make(self, at: tuple[str, bytes], count: int) -> tuple[str, bytes]:
        """Rebuild a slice of the index; returns where the next one starts, or "done"."""
        stage, begin = self._caller.run("reindex", *at, count)
        return text(stage), bytes(begin)


@dataclass(frozen=True, slots=True)
class Bound:
    """At most `most` entries may have a name that begins with `prefix`."""

    prefix: str
    most: int


@dataclass(frozen=True, slots=True)
class Full:
    """Nothing was written: there are `present` entries with that prefix, and no room for more."""

    present: int


class Orphans(list[str]):
    """Names that no live configuration declares; `more` if there are more to look at now."""

    def __init__(self, names: Iterable[str], *, more: bool) -> None:
        super().__init__(names)
        self.more = more
