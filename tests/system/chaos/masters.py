"""The history of a Redis that fails over: of each server what it did itself while it reigned.

A master that was deposed may go on taking writes for a while, which are lost: they belong before
the loss. So the reigns stand one after the other, and a reign begins when the one before ended.

Sentinel closes all connections to a server that it promotes, those of MONITOR too: so here the
recorder is one that comes back by itself and reads what it has missed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from tests.support.servers.redis_server import Server
from tests.verification.history.events import (
    Arrival,
    Event,
    Fault,
    Gap,
    Kind,
    Lost,
    ScriptEnd,
    Write,
    begins_us,
)
from tests.verification.history.lines import Line
from tests.verification.history.monitor import Monitor

#: What is older than this when a failover begins has surely been copied.
COPIED_US = 1_000_000


#: A server that was silent for longer and then writes may have been promoted again.
SILENT_US = 1_500_000


class _Own(Monitor):
    """A Redis replica repeats the pushes of its master; only those of scripts are its own."""

    def _take(self, line: Line) -> None:
        if line.in_script or line.words[0] != b"LPUSH":
            super()._take(line)


@dataclass
class Masters:
    """All servers of which one is master; what they wrote shows which one, and since when."""

    base: str
    queue: str = ""
    _monitors: list[Monitor] = field(default_factory=list)

    def watch(self, servers: Iterable[Server]) -> None:
        queues = (self.queue,) if self.queue else ()
        for server in servers:
            self._monitors.append(_Own(server.client, self.base, queues=queues).start())

    def events(self) -> list[Event]:
        """Stops the recording."""
        return history([monitor.stop() for monitor in self._monitors])


def history(tapes: Sequence[Sequence[Event]]) -> list[Event]:
    """What was recorded of each server, as one history.

    A new master may be known before its predecessor's first write (that one was deposed already,
    and took writes all the same): all that the predecessor did, and the loss before it, are put
    before that moment, in their order, each loss at a moment of its own. What a new master held is
    what was read of it, and never what was read of another at that time.
    """
    found: list[Event] = []
    for reign in _reigns([_in_moments(tape) for tape in tapes]):
        if found:
            lost_us = _known_us(reign) - 1
            found = [_not_after(event, lost_us) for event in found]
            found.append(Fault(Kind.REDIS_FAILOVER, lost_us - COPIED_US, lost_us))
            first = reign[0]
            kept = first.kept if isinstance(first, Gap) else None
            found.append(Lost(lost_us, "failover", kept, complete=True))
            reign = [_not_before(event, lost_us) for event in reign]
        found += reign
    return found


def moved(event: Write | Arrival | ScriptEnd, at_us: int) -> Event:
    """The same at another moment."""
    return event._replace(at_us=at_us) if isinstance(event, tuple) else replace(event, at_us=at_us)


def _in_moments(tape: Sequence[Event]) -> list[Event]:
    """Each script as one moment, that of its first write, however long it took."""
    found: list[Event] = []
    begun_us = 0
    for event in tape:
        if isinstance(event, (Write, Arrival, ScriptEnd)):
            begun_us = begun_us or event.at_us
            over = isinstance(event, ScriptEnd)
            event = moved(event, begun_us)
            begun_us = 0 if over else begun_us
        found.append(event)
    return found


def _reigns(tapes: Sequence[Sequence[Event]]) -> list[list[Event]]:
    """What each master did, in the order in which they began; one that continues is one reign."""
    runs = [(index, run) for index, tape in enumerate(tapes) for run in _runs(tape)]
    runs.sort(key=lambda numbered: _starts_us(numbered[1]))
    found: list[tuple[int, list[Event]]] = []
    for index, run in runs:
        if found and found[-1][0] == index:
            found[-1][1].extend(run)
        else:
            found.append((index, list(run)))
    return [run for _, run in found]


def _runs(tape: Sequence[Event]) -> list[list[Event]]:
    """A tape cut where its server was silent. A gap belongs to what comes soon after it; any other
    is of a time when this server was no master."""
    found: list[list[Event]] = []
    gaps: list[Gap] = []
    last_us = -SILENT_US
    for event in tape:
        if isinstance(event, Gap):
            gaps.append(event)
            continue
        if begins_us(event) - last_us > SILENT_US:
            found.append([])
        found[-1] += [gap for gap in gaps[-1:] if begins_us(event) - gap.end_us < SILENT_US]
        found[-1].append(event)
        gaps, last_us = [], begins_us(event)
    return found


def _starts_us(run: Sequence[Event]) -> int:
    """When it began to write; a gap before that may be of a time long past."""
    return next(begins_us(event) for event in run if not isinstance(event, Gap))


def _known_us(reign: Sequence[Event]) -> int:
    """From when it is known what the new master did, or held."""
    first = reign[0]
    return first.end_us if isinstance(first, Gap) else begins_us(first)


def _not_after(event: Event, moment_us: int) -> Event:
    """What a deposed master still did comes before the loss of it."""
    if isinstance(event, Lost):
        return replace(event, at_us=min(event.at_us, moment_us - 1))
    if isinstance(event, Gap):
        start_us = min(event.start_us, moment_us - 1)
        return replace(event, start_us=start_us, end_us=min(event.end_us, moment_us))
    if isinstance(event, Fault):
        return replace(event, end_us=min(event.end_us, moment_us))
    return moved(event, min(event.at_us, moment_us))


def _not_before(event: Event, moment_us: int) -> Event:
    """A gap may be of all the time since this one was started."""
    if isinstance(event, Gap):
        return replace(event, start_us=max(event.start_us, moment_us))
    return event
