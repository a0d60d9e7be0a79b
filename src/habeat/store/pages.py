"""How many items one script call processes.

Redis does nothing else while a script runs, so the leader's claims have to wait for it. Work on
many items is done page by page, with one call per page. These sizes keep each call well under 2 ms
(measurements: docs/internals/decisions/0034-scripts-are-short.md).
tests/integration/scripts/test_touched.py counts what every script touches with these sizes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")

#: Entries read with their state: five lookups each, six while a circuit is open.
PAGE = 100
#: Entries written or removed: about ten commands each, and their definitions are transferred.
WRITTEN = 50
#: Names checked for orphans: each is compared with the names of every live configuration.
ORPHANS = 200
#: Names added to or checked against their index.
INDEXED = 200
#: Chains checked for records that are still in the ledger.
SWEPT = 200
#: Positions compared with the index of what is due: up to four lookups each.
POSITIONS = 250
#: Due requests or intents read to pick some of them, alternating between entries.
DUE = 250


def pages(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """The items, at most `size` at a time."""
    return (items[start : start + size] for start in range(0, len(items), size))
