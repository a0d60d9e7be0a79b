"""What each replica has seen of Redis' history, and whether it declares a loss that this shows.

DECLARE   it came to lead, or led on, and had seen what only a loss of data makes: a heartbeat, an
          epoch or a declared loss that went back, two answers with one heartbeat, a refusal
          because Redis knows less, or its own token back after that was gone. Neither its
          acquisition nor its next look around as a leader has declared a loss, nor another replica.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

#: Scripts whose answer, if it is "ok", tells the heartbeat behind the time.
COUNTING = {"tick", "claim", "skip"}

WENT_BACK = "the heartbeat or the epoch went back"


@dataclass
class Memory:
    """Of one process."""

    cluster: bytes = b""
    epoch: int = 0
    heartbeat: int = 0
    declared_ms: int = 0
    answers: set[int] = field(default_factory=set)
    #: Why a loss has to be declared, "" if none has.
    owed: str = ""

    def looked(self, reply: Sequence[Any]) -> None:
        """A look at the lease, as observe.lua answers it."""
        cluster, epoch, heartbeat, declared_ms = reply[5], *map(int, (reply[6], reply[2], reply[8]))
        if not cluster and self.cluster:
            return  # who acquires it now declares it
        if cluster != self.cluster and epoch < self.epoch:
            self.owed = "an older history is back"
            return
        if cluster != self.cluster or declared_ms > self.declared_ms:
            self._begin(cluster, epoch, heartbeat, declared_ms)
            return
        if declared_ms < self.declared_ms:
            self.owed = "a declared loss is forgotten"
        elif epoch < self.epoch or heartbeat < self.heartbeat:
            self.owed = WENT_BACK
        self.epoch, self.heartbeat = max(self.epoch, epoch), max(self.heartbeat, heartbeat)

    def led(self, reply: Sequence[Any], came_back: bool) -> None:
        """It leads, as acquire.lua answers it."""
        cluster, heartbeat, declared_ms = reply[3], int(reply[4]), int(reply[7])
        epoch = int(reply[1].partition(b":")[0])
        if reply[5] in (b"emptied", b"restored", b"first"):
            self._begin(cluster, epoch, heartbeat, declared_ms)
            return
        if came_back:
            self.owed = "its token is back"
        elif self.owed == WENT_BACK and heartbeat > self.heartbeat:
            self.owed = ""  # the leader in between knew less, and kept beating
        self.cluster, self.epoch = cluster, max(self.epoch, epoch)
        self.heartbeat = max(self.heartbeat, heartbeat)

    def answered(self, name: str, args: Sequence[Any], reply: Sequence[Any]) -> None:
        """A fenced call was answered."""
        if reply[0] == b"behind":
            self.owed = "a call was refused, for Redis knows less"
        if reply[0] != b"ok" or name not in COUNTING:
            return
        heartbeat = int(reply[2])
        if _declares(name, args):
            self._begin(self.cluster, self.epoch, heartbeat, int(reply[6][1]))
        elif heartbeat in self.answers:
            self.owed = "two answers have one heartbeat"
        self.answers.add(heartbeat)
        self.heartbeat = max(self.heartbeat, heartbeat)

    def omits(self, name: str, args: Sequence[Any]) -> str:
        """Why this look around should have declared a loss, "" if it need not, or does."""
        looks_around = name == "tick" and int(args[3]) > 0
        return self.owed if looks_around and not _declares(name, args) else ""

    def _begin(self, cluster: bytes, epoch: int, heartbeat: int, declared_ms: int) -> None:
        self.cluster, self.epoch, self.heartbeat = cluster, epoch, heartbeat
        self.declared_ms, self.owed = declared_ms, ""
        self.answers.clear()


def _declares(name: str, args: Sequence[Any]) -> bool:
    return name == "tick" and len(args) > 8 and args[8] not in ("", b"", None)
