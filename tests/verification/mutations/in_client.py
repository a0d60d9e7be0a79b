"""The devices that keep the Client's calls apart: whose write was it, and how long may it take."""

from __future__ import annotations

from tests.verification.mutations.device import (
    BOUNDED,
    ENTRIES,
    LARGE,
    MANY_AT_ONCE,
    MANY_NAMED,
    NAME_INDEX,
    PLANNING,
    ROOM,
    SCRIPTS,
    SWAPPING,
    SYNC,
    TOUCHED,
    Device,
)


def in_script(
    script: str,
    suite: str,
    name: str,
    protects: str,
    old: str,
    new: str,
    keeps: str = "",
) -> Device:
    """A device in a script."""
    return Device(name, protects, f"{SCRIPTS}/{script}.lua", old, new, suite, keeps)


CALLERS = [
    *(
        in_script(
            name,
            SWAPPING,
            f"{name}: mark kept",
            "A call whose reply was lost returns what it did, and does it once",
            f"remember({mark}, {keep})\n",
            "",
        )
        for name, mark, keep in (
            ("write", "mark", "ARGV[5]"),
            ("remove", "mark", "ARGV[5]"),
            ("rename", "ARGV[1]", "ARGV[2]"),
        )
    ),
    *(
        in_script(
            name,
            SWAPPING,
            f"{name}: mark asked",
            "A request that comes after its caller gave it up is refused",
            f"local answered = answered_before({mark})\n",
            "local answered = nil\n",
        )
        for name, mark in (("write", "mark"), ("remove", "mark"), ("rename", "ARGV[1]"))
    ),
    in_script(
        "write",
        SWAPPING,
        "write: pause",
        "Two callers that pause an entry lose nothing of each other",
        "  if other_pause(name, pause) then\n    return true\n  end\n",
        "",
    ),
    in_script(
        "recall",
        SWAPPING,
        "recall: closes",
        "A write that was looked up before it arrived is not done later",
        "redis.call('SET', key, 'closed', 'PX', ARGV[2])\n",
        "",
    ),
    Device(
        "swap: own mark",
        "Another caller's equal text is not taken for one's own write",
        "client/swapping.py",
        "            if session.entries.recall(mark):\n",
        "            if True:\n",
        SWAPPING,
    ),
    Device(
        "swap: asks first",
        "A call whose reply was lost returns what it did, and does it once",
        "client/swapping.py",
        "        if unanswered is not None:\n",
        "        if False:\n",
        SWAPPING,
    ),
]

BOUNDS = [
    in_script(
        "common",
        BOUNDED,
        "record: chained",
        "An entry's history is found without reading everyone's",
        "  redis.pcall('HSET', LAST_RECORDS, name, id)\n",
        "",
    ),
    in_script(
        "trace",
        BOUNDED,
        "trace: an older leader",
        "Records of an older release's leader are found while it leads",
        "chained and leader == chains and chained",
        "chained",
    ),
    in_script(
        "trace",
        BOUNDED,
        "trace: no circle",
        "A garbled chain of records ends",
        "id = comes_before(previous, id) and previous or ''",
        "id = previous",
    ),
    in_script(
        "leadership",
        BOUNDED,
        "lead: chains broken",
        "Records that a leader of an older release wrote are in an entry's history",
        "  elseif leader ~= chains then\n",
        "  elseif false then\n",
    ),
    in_script(
        "sweep",
        BOUNDED,
        "sweep: oldest record",
        "An entry's chain is forgotten only when the ledger has none of its records",
        "  if at < oldest_ms then\n",
        "  if true then\n",
    ),
    in_script(
        "sweep",
        BOUNDED,
        "sweep: token",
        "I5: only the leader sweeps",
        "if refused then",
        "if false then",
    ),
    Device(
        "calls: requests in time",
        "A call sends no request when its time is up",
        "client/calls.py",
        "            self.budget.check()\n",
        "            pass\n",
        BOUNDED,
    ),
    Device(
        "calls: one budget",
        "All steps of a call together end within its timeout",
        "client/calls.py",
        '        bounded._budget = Budget(self._long_timeout_s + more_s, "long_timeout")\n',
        "        bounded._budget = Budget(10**9)\n",
        BOUNDED,
    ),
    in_script(
        "write",
        NAME_INDEX,
        "write: indexed",
        "A new entry is listed",
        "      index(name)\n",
        "",
    ),
    in_script(
        "remove",
        NAME_INDEX,
        "remove: unindexed",
        "The index of names is made again only where it was harmed",
        "  unindex(name)\n",
        "",
    ),
    in_script(
        "common",
        NAME_INDEX,
        "index: whole",
        "An entry that an older release wrote is listed",
        "\n    and redis.pcall('ZCARD', NAMES) == redis.call('HLEN', ENTRIES)",
        "",
    ),
    in_script(
        "reindex",
        NAME_INDEX,
        "reindex: no strangers",
        "Names of what is no entry leave the index",
        "    redis.call('ZREM', NAMES, name)\n",
        "",
    ),
    in_script(
        "prune",
        TOUCHED,
        "prune: slices",
        "No script holds the server up, however many entries there are",
        "'COUNT', math.max(1, tonumber(ARGV[5])))",
        "'COUNT', 1000000)",
    ),
    in_script(
        "prune",
        ENTRIES,
        "prune: another round",
        "Looking for orphans goes on until a whole round finds none",
        "elseif found > 0 then\n  redis.call('HSET', META, 'prune', '1')",
        "elseif found > 0 then\n  redis.call('HDEL', META, 'prune')",
    ),
    Device(
        "pages: few are written at once",
        "No slot waits for the thousands of entries of one caller",
        "store/pages.py",
        "\nWRITTEN = 50\n",
        "\nWRITTEN = 1_000\n",
        TOUCHED,
    ),
    in_script(
        "tick",
        LARGE,
        "tick: large definitions",
        "A definition of 20 MB does not hold up other entries",
        "digest_within(raw, most_bytes)",
        "digest_of(raw)",
    ),
    in_script(
        "common",
        LARGE,
        "quarantine: by its size",
        "A definition of 20 MB is set aside without being hashed",
        "  if size then\n",
        "  if false then\n",
    ),
    Device(
        "planning: large definitions",
        "A definition that is too large is not fetched and decoded",
        "engine/planning.py",
        "item.digest and not item.large_bytes:",
        "item.digest:",
        PLANNING,
    ),
]

MANY = [
    Device(
        "add_many: checked first",
        "What is wrong with one of many entries is found before the first is written",
        "client/bulk.py",
        "    calls.write(lambda session: _check(calls, session, wanted, refused, check))\n",
        "",
        MANY_AT_ONCE,
    ),
    Device(
        "add_many: taken back",
        "Of many entries all are added or none, where Redis answers",
        "client/bulk.py",
        "            self._take_back()\n",
        "",
        MANY_AT_ONCE,
    ),
    Device(
        "add_many: others' changes stay",
        "What another caller has changed is not removed with the rest",
        "client/bulk.py",
        " if stored.digest == edit.digest",
        "",
        MANY_AT_ONCE,
    ),
    Device(
        "many: checked first",
        "Of several named entries all are changed or none",
        "client/many.py",
        "            calls.write(partial(self._check, calls, act))\n",
        "",
        MANY_NAMED,
    ),
    Device(
        "matching: asked again",
        "An entry that another caller added meanwhile is not replaced by a sync",
        "client/matching.py",
        "            self._check(stored)\n",
        "",
        SYNC,
    ),
    Device(
        "sync: only its tag",
        "A sync removes no entry that lost its tag meanwhile",
        "client/syncing.py",
        "        return self._selection.has(entry) and self.calls.guard.scope.has(entry)\n",
        "        return self.calls.guard.scope.has(entry)\n",
        SYNC,
    ),
    Device(
        "sync: removals last",
        "A reader sees no gap while a sync renames entries",
        "client/syncing.py",
        "        if calls.guard.max_entries is not None:\n",
        "        if True:\n",
        SYNC,
    ),
    in_script(
        "write",
        ROOM,
        "write: room",
        "Simultaneous calls do not exceed what a guard allows",
        "present + new > most and present or nil",
        "nil",
    ),
]

ALL = [*CALLERS, *BOUNDS, *MANY]
