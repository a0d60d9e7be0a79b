"""Finding and deleting the keys of one prefix: exactly those that habeat writes, and no others.

All keys of a prefix share its hash tag, but so may keys of other programs. A key is ours if it is
one of the fixed keys or belongs to one of the families below. Values that stood where a value of
ours belonged were moved aside (`foreign:`). habeat did not write them, so they are not ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from redis.cluster import RedisCluster

from habeat.store.calling import Caller, text
from habeat.store.keys import FIXED, Keys
from habeat.store.pages import pages
from habeat.store.prefixes import REGISTRY

#: One key per slot, request, client call, entry or configuration; `probe:` is the script check's.
FAMILIES = ("fired", "request", "call", "lateness", "outcomes", "declared", "probe")

_SINGLE = (
    *FIXED,
    *("names", "ledger_last", "events", "changes", "changes_last", "tasks", "controls"),
    *("shadow", "watched", "outcomes", "alarmed"),
)

#: Keys that SCAN looks at per call, and keys that one UNLINK deletes.
SCAN_COUNT = 1_000

#: Deleted last. Until then, an interrupted deletion still shows whose keys these are.
LAST = "meta"


class PrefixKeys:
    """Scans and deletes. Needs the permission for SCAN and UNLINK; raises StoreUnavailable."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def page(self, cursor: int) -> tuple[int, list[tuple[str, bytes]]]:
        """The next cursor, and keys under the prefix, each with its kind (see `kind_of`).

        A cursor of 0 starts and ends the scan. Keys may be returned more than once.
        """
        following, names = self._scan(cursor)
        return following, [(kind_of(self._caller.keys, name), name) for name in names]

    def delete(self, names: Sequence[bytes]) -> int:
        """Delete these keys; returns how many there were. Redis frees large values later."""
        batches = pages(names, SCAN_COUNT)
        return sum(self._caller.do(partial(_unlink, names=batch)) for batch in batches)

    def unregister(self) -> None:
        """Remove the prefix from the register of prefixes, which is a key of its own."""
        self._caller.do(lambda client: client.hdel(REGISTRY, self._caller.keys.prefix))

    def _scan(self, cursor: int) -> tuple[int, Sequence[bytes]]:
        pattern = literally(self._caller.keys.base) + "*"

        def scan(client: Any) -> tuple[int, Sequence[bytes]]:
            if not isinstance(client, RedisCluster):
                following, names = client.scan(cursor, match=pattern, count=SCAN_COUNT)
                return following, names
            cluster: Any = client
            node = cluster.get_node_from_key(self._caller.keys.meta)
            cursors, names = cluster.scan(
                cursor, match=pattern, count=SCAN_COUNT, target_nodes=node
            )
            return next(iter(cursors.values()), 0), names

        return self._caller.do(scan)


def kind_of(keys: Keys, name: bytes) -> str:
    """The fixed key or the family that a key belongs to; "" if habeat did not write it."""
    base = keys.base.encode("utf-8", "surrogateescape")
    if not name.startswith(base):
        return ""
    rest = text(name[len(base) :])
    if rest in _SINGLE:
        return rest
    family, colon, _ = rest.partition(":")
    return family if colon and family in FAMILIES else ""


def _unlink(client: Any, names: Sequence[bytes]) -> int:
    return int(client.unlink(*names))


def literally(words: str) -> str:
    """A pattern for SCAN that matches only these words."""
    return "".join("\\" + char if char in "*?[]^-\\" else char for char in words)
