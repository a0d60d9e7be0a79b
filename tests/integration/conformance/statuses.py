"""Every word that a script may answer with, and how it is read out of a reply.

The headers of the scripts are the source: `test_reached.py` holds this table to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

#: What a random play must reach, script by script.
STATUSES: dict[str, frozenset[str]] = {
    name: frozenset(words.split(" | "))
    for name, words in {
        "acquire": "won first | won continued | won restored | won emptied | mine continued | "
        "mine restored | mine emptied | "
        "held | foreign app | foreign schema | reserved",
        "adopt": "ok | conflict | closed | a foreign type",
        "asked": "lost | behind | ok | ok with requests",
        "circuits": "lost | behind | ok",
        "count": "stale | ok",
        "claim": "lost | behind | ok | duplicate | mine inflight | mine settled | early | "
        "expired | replan | gone | error | a foreign type",
        "control": "ok | conflict | full",
        "defer": "lost | behind | ok | replan",
        "event": "ok | known",
        "drop": "lost | behind | ok | replan",
        "health": "ok",
        "mark": "lost | behind | ok | buried | expired | gone",
        "mend": "lost | ok | ok with repairs",
        "names": "stale | ok | ok with names",
        "reindex": "entries | names | done",
        "observe": "held | free | heard | unheard | unknown",
        "postpone": "lost | behind | ok | gone",
        "prune": "lost | behind | ok | ok with names",
        "put_off": "lost | behind | ok",
        "quarantine": "lost | behind | ok | replan",
        "read": "there | not there",
        "recover": "lost | behind | ok | ok with intents | ok and wait",
        "register": "rank 0 | rank above",
        "release": "0 | 1",
        "recall": "done | closed",
        "remove": "lost | behind | ok | conflict | closed",
        "resend": "ok | changed | there | gone | moving",
        "rename": "ok | conflict | closed | a foreign type",
        "request": "ok | known | gone | moving",
        "samehost": "value | nothing",
        "settle": "none | some",
        "skip": "lost | behind | ok | replan | gone | a foreign type",
        "steal": "won first | won continued | won restored | won emptied | foreign app | "
        "foreign schema | refused mine already | refused the holder has changed | "
        "refused the heartbeat has moved | "
        "refused the holder is listening, or nobody can be heard | "
        "refused the leader makes progress | refused the lead changed within a minute",
        "sweep": "lost | behind | ok | ok and forgotten",
        "trace": "nothing | some | some and more",
        "tick": "lost | behind | ok",
        "write": "lost | behind | ok | conflict | full | closed | a foreign type",
    }.items()
}


def statuses_in(name: str, reply: Any) -> set[str]:
    """The statuses in a reply of the script, errors already reduced to their phrase."""
    if isinstance(reply, str):
        return {reply.removeprefix("error: ")}
    return set(_READ.get(name, _first)(reply))


def _text(word: Any) -> str:
    return word.decode() if isinstance(word, bytes) else str(word)


def _first(reply: list[Any]) -> Iterable[str]:
    return [_text(reply[0])]


def _each(reply: list[Any]) -> Iterable[str]:
    """A status for each firing: ok | duplicate | … | error …"""
    if reply[0] != b"ok":
        return _first(reply)
    return [_text(word).partition(":")[0] for word in reply[3:]]


def _attempt(reply: list[Any]) -> Iterable[str]:
    first = _text(reply[0])
    if first in ("won", "mine"):
        return [f"{first} {_text(reply[5])}"]
    return [first] if first in ("held", "reserved") else [f"{first} {_text(reply[1])}"]


def _look(reply: list[Any]) -> Iterable[str]:
    if len(reply) < 4:  # a counter that is no number ends the reply before it
        return []
    heard = {-1: "unknown", 0: "unheard"}.get(reply[3], "heard")
    return ["held", heard] if reply[0] else ["free"]


def _recovered(reply: list[Any]) -> Iterable[str]:
    if reply[0] != b"ok":
        return _first(reply)
    found = ["ok", *(["ok with intents"] if reply[4] else [])]
    return [*found, "ok and wait"] if reply[3] != b"" else found


def _named(reply: list[Any]) -> Iterable[str]:
    return ["ok with names"] if len(reply) > 1 else _first(reply)


def _swept(reply: list[Any]) -> Iterable[str]:
    return ["ok and forgotten"] if reply[0] == b"ok" and reply[2] else _first(reply)


def _traced(reply: list[Any]) -> Iterable[str]:
    if len(reply) == 2:
        return ["nothing"]
    return ["some and more"] if reply[0] else ["some"]


def _asked(reply: list[Any]) -> Iterable[str]:
    return ["ok", "ok with requests"] if reply[0] == b"ok" and reply[3] else _first(reply)


def _pruned(reply: list[Any]) -> Iterable[str]:
    return ["ok with names"] if len(reply) > 3 else _first(reply)


_READ: dict[str, Callable[[Any], Iterable[str]]] = {
    "acquire": _attempt,
    "steal": _attempt,
    "asked": _asked,
    "claim": _each,
    "skip": _each,
    "defer": _each,
    "drop": _each,
    "quarantine": _each,
    "postpone": _each,
    "mend": lambda reply: ["ok with repairs"] if len(reply) > 2 and reply[2] else _first(reply),
    "observe": _look,
    "recover": _recovered,
    "prune": _pruned,
    "names": _named,
    "sweep": _swept,
    "trace": _traced,
    "read": lambda reply: ["there" if row[0] else "not there" for row in reply[1:]],
    "register": lambda reply: ["rank above" if reply[1] else "rank 0"],
    "event": lambda reply: [_text(reply)],
    "release": lambda reply: [str(reply)],
    "samehost": lambda reply: ["value" if reply else "nothing"],
    "settle": lambda reply: ["some" if reply else "none"],
}
