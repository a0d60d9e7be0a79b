"""How many items one script call goes through.

Redis does nothing else while a script runs, and the leader's claims have to wait for it. What goes
through many items does so page by page, a call for each, and each of these sizes keeps a call well
under 2 ms (docs/internals/decisions/0034-scripts-are-short.md has the measurements).
tests/integration/scripts/test_touched.py counts what every script touches with them.
"""

from __future__ import annotations

#: Entries read with all that is known of them: five lookups for each.
PAGE = 100
#: Entries written or removed: some ten commands for each, and their text goes over the wire.
WRITTEN = 50
#: Names looked at, each compared with what every live configuration declares.
ORPHANS = 200
#: Names put into their index, or looked up for it.
INDEXED = 200
#: Chains of records looked at, whether the ledger has any of their records.
SWEPT = 200
#: Of so many requests or intents that are due, some are taken in turns between their entries.
DUE = 250
