"""The devices that keep the Client's calls apart: whose write was it, and how long may it take."""

from __future__ import annotations

from tests.mutations.device import ENTRIES, SCRIPTS, SWAPPING, TOUCHED, Device


def in_script(script: str, suite: str, name: str, protects: str, old: str, new: str) -> Device:
    """A device in a script."""
    return Device(name, protects, f"{SCRIPTS}/{script}.lua", old, new, suite)


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
        "What was asked about before it came is not done later",
        "redis.call('SET', key, 'closed', 'PX', ARGV[2])\n",
        "",
    ),
    Device(
        "swap: own mark",
        "Another caller's equal text is not taken for one's own write",
        "client/swapping.py",
        "            if desk.entries.recall(mark):\n",
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
]

ALL = [*CALLERS, *BOUNDS]
