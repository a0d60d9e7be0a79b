"""What the replicas report about themselves, as `client.status` shows it.

Each beat writes a few facts about itself under its id. A beat of another release may write others,
so a fact that is missing or has another type is shown as unknown and is never an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from habeat.core.differences import differs_in
from habeat.core.other_schedulers import OtherScheduler, from_facts
from habeat.entries.shapes import WHOLE_MAX
from habeat.schedules.schedule import moment

Role = Literal["leader", "standby", "inert"]


@dataclass(frozen=True, slots=True)
class Replica:
    """One running beat.

    `skew_ms` is its host's clock minus Redis' clock. `inert` says why it can never lead. `clashes`
    are names of its beat_schedule that entries made through the API have taken; `unstorable` has
    the entries that cannot be stored, with the reason. `tzdata` and `version` are the releases of
    the time zone data and of habeat, `config` is the fingerprint of its beat_schedule. `differs`
    names entries that it declares differently from what is stored, each with "another definition",
    "not stored" or "not declared"; of many, the first 20. `differs_count` counts them all. A
    leader's `unregistered` has entries whose task its code does not register, with the task: some
    of the `unregistered_count`. `others` are other schedulers that it sees, and `celerys_own`
    counts the entries of its beat_schedule that Celery adds to every app. In a shadow, `unseen` and
    `unseen_ms` say how many firings it has decided since it last saw the other beat, and for how
    long.
    """

    id: str
    role: Role
    host: str
    pid: int | None
    started: datetime | None
    last_seen: datetime
    version: str
    tzdata: str
    config: str
    declared: int
    skew_ms: int | None
    dispatch: str
    dispatch_why: str
    inert: str
    clashes: tuple[str, ...] = ()
    unstorable: Mapping[str, str] = field(default_factory=dict)
    differs: Mapping[str, str] = field(default_factory=dict)
    differs_count: int = 0
    unregistered: Mapping[str, str] = field(default_factory=dict)
    unregistered_count: int = 0
    others: tuple[OtherScheduler, ...] = ()
    celerys_own: int = 0
    unseen: int = 0
    unseen_ms: int = 0

    @property
    def where(self) -> str:
        """Host and process id, for display."""
        return f"{self.host} pid {'?' if self.pid is None else self.pid}"


@dataclass(frozen=True, slots=True)
class Leader:
    """The replica that holds the lease: since when, under which lease epoch, and why it got it.

    `cause` is first, released, expired, crash, stuck or wedged. `lease_left_ms` is the remaining
    time of the lease. `replica` is None until the leader has registered.
    """

    id: str
    since: datetime | None
    lease_epoch: int
    cause: str
    lease_left_ms: int
    replica: Replica | None

    @property
    def where(self) -> str:
        """Host and process id, for display; its id if it has not registered yet."""
        return self.replica.where if self.replica else f"replica {self.id}"

    @property
    def host(self) -> str:
        return self.replica.host if self.replica else "?"

    @property
    def pid(self) -> int | None:
        return self.replica.pid if self.replica else None


def replica(identity: str, facts: Mapping[str, Any], seen_ms: int, *, leads: bool) -> Replica:
    """The replica that wrote these facts and was last seen at `seen_ms`."""
    inert = _text(facts, "inert")
    started_ms = _whole(facts, "since_ms")
    clashes = facts.get("clashes")
    differs, differs_count = differs_in(facts)
    return Replica(
        id=identity,
        role="leader" if leads else "inert" if inert else "standby",
        host=_text(facts, "host") or "?",
        pid=_whole(facts, "pid"),
        started=None if started_ms is None else moment(started_ms),
        last_seen=moment(seen_ms),
        version=_text(facts, "habeat"),
        tzdata=_text(facts, "tzdata"),
        config=_text(facts, "config"),
        declared=_whole(facts, "declared") or 0,
        skew_ms=_whole(facts, "skew_ms"),
        dispatch=_text(facts, "dispatch"),
        dispatch_why=_text(facts, "dispatch_why"),
        inert=inert,
        clashes=tuple(map(str, clashes)) if isinstance(clashes, list) else (),
        unstorable=_texts(facts, "unstorable"),
        differs=differs,
        differs_count=differs_count,
        unregistered=_texts(facts, "unregistered"),
        unregistered_count=_whole(facts, "unregistered_count") or 0,
        others=tuple(from_facts(facts.get("others"))),
        celerys_own=_whole(facts, "celerys_own") or 0,
        unseen=_whole(facts, "unseen") or 0,
        unseen_ms=_whole(facts, "unseen_ms") or 0,
    )


def _text(facts: Mapping[str, Any], key: str) -> str:
    value = facts.get(key)
    return value if isinstance(value, str) else ""


def _texts(facts: Mapping[str, Any], key: str) -> dict[str, str]:
    found = facts.get(key)
    return {str(name): str(why) for name, why in found.items()} if isinstance(found, dict) else {}


def _whole(facts: Mapping[str, Any], key: str) -> int | None:
    value = facts.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return round(value) if abs(value) <= WHOLE_MAX else None  # NaN is not
