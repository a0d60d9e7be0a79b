"""What `client.explain` returns: one chain for one slot, up to the first broken link."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

LinkName = Literal["declared", "due", "effective", "leader", "claimed", "handed over", "queue"]
LinkState = Literal["ok", "broken", "unknown", "to come"]


@dataclass(frozen=True, slots=True)
class Link:
    """One link of the chain from a definition to its message in the queue.

    `at` is when it happened, or will, as an aware datetime in UTC; None if that is unknown.
    `evidence` says where the answer comes from, and `next_step` what to do about a broken link.
    """

    link: LinkName
    state: LinkState
    at: datetime | None
    detail: str
    evidence: str = ""
    next_step: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What became of one slot of an entry, or what will. Instants are aware datetimes in UTC.

    `outcome` is the ledger's (sent, late, skipped …), or one of these: "in flight" (claimed,
    not settled yet), "pending" (due, without an outcome so far), "to come", "unknown" (nothing
    that is stored says so) and "no slot". `slot` is None if the entry has no slot there. `asked`
    is the time that was asked about; `before` and `after` are the neighbours of the slot.
    `fired_at` is when the message was handed to the broker, `leader` the host and process id that
    did it, as far as they are known. `following` explains the next slot, if no time was given.
    """

    entry: str
    asked: datetime | None
    slot: datetime | None
    effective: datetime | None
    outcome: str
    sentence: str
    links: tuple[Link, ...] = ()
    reason: str = ""
    fired_at: datetime | None = None
    lateness_ms: int | None = None
    lease_epoch: int | None = None
    leader: str = ""
    attempt: int | None = None
    task_id: str | None = None
    before: datetime | None = None
    after: datetime | None = None
    zone: str = "UTC"
    following: Explanation | None = None

    @property
    def broken(self) -> Link | None:
        """The first broken link; None if there is none."""
        return next((each for each in self.links if each.state == "broken"), None)
