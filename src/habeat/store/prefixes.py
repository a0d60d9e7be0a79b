"""The key prefixes that beats have used on this Redis, and what is stored under another one.

The registry is one key outside of all prefixes, so on a Cluster it may be on another node, and a
user may lack the permission for it. Callers treat a failure as "nothing is known".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from habeat.entries.codec import is_declared_as
from habeat.printable import printable
from habeat.store.calling import Caller, optional_ms, text
from habeat.store.connection import Connections
from habeat.store.entries import EntryStore
from habeat.store.inspection import Inspection
from habeat.store.keys import Keys

#: A hash: each prefix, with the app's name and when it was first used.
REGISTRY = "{habeat}:prefixes"
#: How many prefixes one look reads, and how many names it compares.
READ_AT_MOST = 50
COMPARED = 100


@dataclass(frozen=True, slots=True)
class OtherPrefix:
    """What is stored under another prefix.

    `live` is what its live beats have registered. `by_api` counts the entries made through the API,
    `shared` those of beat_schedule that are declared here in the same way; both are only as exact
    as a log line has to be.
    """

    prefix: str
    app: str = ""
    live: Sequence[Mapping[str, Any]] = ()
    by_api: int = 0
    shared: int = 0
    exists: bool = True

    @property
    def where(self) -> str:
        """Host and process id of one of its live beats; "" if there is none."""
        beat = self.live[0] if self.live else None
        where = "" if beat is None else f"{beat.get('host') or '?'} pid {beat.get('pid') or '?'}"
        return printable(where, 100)


class Prefixes:
    """The registry, as seen from one prefix."""

    def __init__(self, connections: Connections, prefix: str) -> None:
        self._connections = connections
        self._prefix = prefix
        self._caller = Caller(connections, Keys(prefix))

    def announce(self, app: str) -> int:
        """Register our own prefix; returns for how long it has been registered, in ms."""
        now_ms = self._caller.now_ms()
        record = json.dumps({"app": app, "since_ms": now_ms})
        self._caller.do(lambda client: client.hsetnx(REGISTRY, self._prefix, record))
        stored: Any = self._caller.do(lambda client: client.hget(REGISTRY, self._prefix))
        return max(0, now_ms - _since_ms(text(stored or b""), now_ms))

    def others(self) -> list[str]:
        """The other prefixes, sorted; a bounded number of them."""
        found: Any = self._caller.do(lambda client: client.hscan(REGISTRY, 0, count=READ_AT_MOST))
        names = sorted(filter(_is_prefix, (text(name) for name in found[1])))
        return [name for name in names if name != self._prefix][:READ_AT_MOST]

    def forget(self, prefix: str) -> None:
        """Remove a prefix under which nothing is stored any more."""
        self._caller.do(lambda client: client.hdel(REGISTRY, prefix))

    def look(self, prefix: str, declared: Mapping[str, str]) -> OtherPrefix:
        """What is stored under another prefix; `declared` has our names with their fingerprints."""
        keys = Keys(prefix)
        caller = Caller(self._connections, keys)
        inspection, entries = Inspection(caller), EntryStore(caller)
        app, _ = inspection.belongs_to()
        total = int(caller.do(lambda client: client.hlen(keys.entries)))
        names = sorted(declared)[:COMPARED]
        stored = entries.definitions(names) if names and total else []
        return OtherPrefix(
            prefix,
            app,
            tuple(inspection.registered().replicas.values()),
            max(0, total - entries.owned()),
            sum(
                is_declared_as(raw, declared[name])
                for name, raw in zip(names, stored, strict=False)
            ),
            exists=bool(app or total),
        )


def _is_prefix(name: str) -> bool:
    """Whether a beat may have this prefix; any program may have written the registry."""
    return bool(name) and name.isprintable() and not set(name) & set("{} ")


def _since_ms(record: str, now_ms: int) -> int:
    try:
        since_ms = optional_ms(str(json.loads(record)["since_ms"]))
    except Exception:  # any program may have written it
        since_ms = None
    return now_ms if since_ms is None else since_ms
