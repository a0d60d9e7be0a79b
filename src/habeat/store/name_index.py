"""Names of entries: the index by which they are listed and counted; those that are orphans."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from habeat.store.calling import Caller, text

#: Where making the index begins.
REINDEX: tuple[str, bytes] = ("entries", b"")


class NameIndex:
    """Names in the order of their bytes, which is that of their code points."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def page(self, prefix: str, after: bytes, count: int) -> list[bytes] | None:
        """The next names that begin so, in order; None if the index has to be made again."""
        reply = self._caller.run("names", prefix, after, count)
        return [bytes(name) for name in reply[1:]] if text(reply[0]) == "ok" else None

    def count(self, prefix: str) -> int | None:
        """How many names begin so; None if the index has to be made again."""
        reply = self._caller.run("count", prefix)
        return int(reply[1]) if text(reply[0]) == "ok" else None

    def make(self, at: tuple[str, bytes], count: int) -> tuple[str, bytes]:
        """Make a slice of the index; where the next one begins, "done" at the end."""
        stage, begin = self._caller.run("reindex", *at, count)
        return text(stage), bytes(begin)


@dataclass(frozen=True, slots=True)
class Bound:
    """How many entries whose names begin with `prefix` there may be."""

    prefix: str
    most: int


@dataclass(frozen=True, slots=True)
class Full:
    """There are `present` entries of that kind, and no room for more; nothing was written."""

    present: int


class Orphans(list[str]):
    """Names that no live configuration declares; `more` where there are others to look at now."""

    def __init__(self, names: Iterable[str], *, more: bool) -> None:
        super().__init__(names)
        self.more = more
