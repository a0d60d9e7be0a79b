"""A run as a story that a person can follow: what replicas did, faults, writes, messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.verification.simulation.model import Words
from tests.verification.simulation.world import Host

if TYPE_CHECKING:
    from tests.verification.simulation.run import Simulation

#: Scripts that appear only if they wrote something worth it.
QUIET = {"observe", "read", "tick", "register", "hmget", "hscan", "hgetall", "scard", "sadd"}
#: Heartbeats of the lease and counters tell nothing.
DULL = {b"PEXPIRE", b"HINCRBY"}


class Story:
    """Adds only what a reader needs to the world's log."""

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        self._writes: list[str] = []
        sim.network.on_script = self.ran

    def wrote(self, words: Words) -> None:
        """A write of the schedule; the story shows it with the script that did it."""
        if words[0] in DULL:
            return
        key = words[1].decode("utf-8", "replace").removeprefix(self._sim.keys.base)
        if words[0] == b"XADD":
            fields = dict(zip(words[3::2], words[4::2], strict=True))
            self._writes.append(_record({k.decode(): v.decode() for k, v in fields.items()}))
            return
        rest = " ".join(_shown(word) for word in words[2:5])
        self._writes.append(f"{words[0].decode()} {key} {rest}".rstrip())

    def ran(self, host: Host, name: str, reply: Any) -> None:
        """A script has run."""
        writes, self._writes = self._writes, []
        if not writes and name in QUIET and not (reply and reply[0] == b"lost"):
            return
        self._sim.world.tell("%s: %s -> %s", host.name, name, _answer(name, reply))
        for write in writes:
            self._sim.world.tell("        %s", write)


def _answer(name: str, reply: Any) -> str:
    if isinstance(reply, list):
        shown = reply[:1] if name in ("tick", "recover") else reply[:8]
        return " ".join(_shown(word) for word in shown if not _is_time(word))
    return _shown(reply)


def _is_time(word: Any) -> bool:
    return isinstance(word, bytes) and len(word) == 16 and word.isdigit()


def _record(fields: dict[str, str]) -> str:
    count = f" x{fields['count']} to {fields['until']}" if fields["count"] not in ("0", "1") else ""
    why = f" ({fields['reason']})" if fields["reason"] else ""
    return f"LEDGER {fields['entry']}@{fields['slot']}{count}: {fields['outcome']}{why}"


def _shown(word: Any) -> str:
    text = word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word)
    text = text.replace("\n", "|")
    return text if len(text) <= 60 else text[:57] + "..."
