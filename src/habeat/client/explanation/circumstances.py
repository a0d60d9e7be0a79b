"""What happened around a slot: who led then, what was away, who changed the entry last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from habeat.client.calls import Session
from habeat.client.events import Event, event
from habeat.core.events import EventCode
from habeat.printable import printable
from habeat.store.change_log import LoggedChange
from habeat.store.events import StoredEvent

#: At most this many events are read for each span of time.
READ = 200
#: A change of leader is stored when its epoch begins, up to this difference of clocks.
EPOCH_WITHIN_MS = 60_000
#: An outage is stored when it ends, up to this long after the slot's outcome.
STORED_WITHIN_MS = 900_000
NAMED = 3
FIELDS_NAMED = 5

_LASTING = (EventCode.REDIS_UNAVAILABLE, EventCode.BROKER_UNAVAILABLE, EventCode.BROKER_AVAILABLE)
_MOMENTS = (EventCode.DATA_LOST, EventCode.LEADER_WEDGED)
_WAYS = {
    "api": "through the API",
    "cli": "on the command line",
    "admin": "in Django's admin",
    "beat_schedule": "in beat_schedule",
    "leader": "by the leader itself",
}


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Hosts by lease epoch, how the leader of the slot came to lead, and what else happened."""

    hosts: Mapping[int, str] = field(default_factory=dict)
    elected: str = ""
    happened: tuple[str, ...] = ()


def circumstances(
    session: Session, epoch: int, due_ms: int, until_ms: int, now_ms: int
) -> Circumstances:
    """What happened from `due_ms` to `until_ms`, and who led under this epoch."""
    later_ms = min(now_ms, until_ms + STORED_WITHIN_MS)
    near = _read(session, due_ms, max(later_ms, due_ms))
    took_over = _election(near, epoch)
    if took_over is None and epoch:
        near += _read(session, epoch - EPOCH_WITHIN_MS, epoch + EPOCH_WITHIN_MS)
        took_over = _election(near, epoch)
    during = [each for each in near if _is_during(each, due_ms, until_ms)]
    if any(each.code == EventCode.BROKER_AVAILABLE for each in during):  # it says how long it was
        during = [each for each in during if each.code != EventCode.BROKER_UNAVAILABLE]
    elected = "" if took_over is None else took_over.sentence
    sentences = tuple(each.sentence for each in during[:NAMED])
    return Circumstances(dict(_hosts(near)), elected, sentences)


def changed(found: LoggedChange | None, at: str) -> str:
    """The last change of an entry, in words; "" if the log has none."""
    if found is None:
        return ""
    way = _WAYS.get(found.way, f"by {found.way}")
    who = f" by {found.by}" if found.by else ""
    names = sorted(found.fields)
    more = len(names) - FIELDS_NAMED
    rest = f" and {more} more" if more > 0 else ""
    what = f" ({', '.join(names[:FIELDS_NAMED])}{rest})" if names else ""
    return printable(f"{found.act} {way}{who} at {at}{what}")


def _read(session: Session, since_ms: int, until_ms: int) -> list[Event]:
    stored: Iterator[StoredEvent] = session.events.newest_first(since_ms, until_ms)
    return [event(each) for each in islice(stored, READ)]


def _election(events: list[Event], epoch: int) -> Event | None:
    """The change of leader that began this epoch."""
    changes = (each for each in events if each.code == EventCode.LEADER_ACQUIRED)
    return next((each for each in changes if each.by.lease_epoch == epoch), None)


def _hosts(events: list[Event]) -> Iterator[tuple[int, str]]:
    for each in events:
        for party in (each.by, each.previous):
            if party is not None and party.lease_epoch and party.host:
                yield party.lease_epoch, party.where


def _is_during(each: Event, due_ms: int, until_ms: int) -> bool:
    """Whether an outage, or a loss of data, touches the time between a slot and its outcome."""
    if each.code not in (*_LASTING, *_MOMENTS):
        return False
    begin = each.since or each.at
    end = each.until or each.at
    return begin.timestamp() * 1_000 <= until_ms and end.timestamp() * 1_000 >= due_ms
