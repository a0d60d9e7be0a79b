"""Whether a beat that runs anywhere sends what the entries of a source send: by Celery events.

For a source that does not show whether its beat lives. The beat publishes an event for each message
if its app has ``task_send_sent_event = True``. A message of the same task with the same arguments
proves that some process sends it. That may be a web process, so the evidence names the process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from habeat.beat.shadow.description import digest_as_sent
from habeat.beat.shadow.watcher import CONNECT_S, DRAIN_S, message_of, receiving
from habeat.clock import SystemClock
from habeat.migrate.found import SourceEntry
from habeat.printable import printable, repr_of

#: For how long to listen: until each period up to the greater of these has passed once.
LEAST_S, MOST_S = 2.0, 15.0
SENDER_CHARS = 255


def heard(app: Any, entries: Sequence[SourceEntry]) -> str:
    """Which process sends the message of which entry; "" if none was heard.

    Also "" if the app publishes no such events, or if the broker cannot be reached: then nothing is
    known. It takes from two to fifteen seconds, by the shortest period of the entries.
    """
    if not app.conf.task_send_sent_event:
        return ""
    wanted = _wanted(app, entries)
    try:
        return _heard(app, wanted, _listening_s(entries)) if wanted else ""
    except Exception:  # of the broker: its absence does not show that a beat runs
        return ""


def _heard(app: Any, wanted: Mapping[tuple[str, str], str], seconds: float) -> str:
    found: list[str] = []

    def received(event: Mapping[str, Any]) -> None:
        try:
            message = message_of(event)
        except Exception:  # not an event that Celery writes
            return
        name = wanted.get((message.kind.task, message.kind.arguments))
        if name is not None:
            sender = printable(message.sender, SENDER_CHARS)
            found.append(f"process {sender} has sent the message of entry {repr_of(name)}")

    clock = SystemClock()
    ends_us = clock.monotonic_us() + round(seconds * 1e6)
    with app.connection_for_read() as connection:
        connection.ensure_connection(max_retries=1, timeout=CONNECT_S)
        with receiving(app, connection, received):
            while not found and clock.monotonic_us() < ends_us:
                try:
                    connection.drain_events(timeout=DRAIN_S)
                except TimeoutError:
                    connection.heartbeat_check()
    return found[0] if found else ""


def _wanted(app: Any, entries: Iterable[SourceEntry]) -> dict[tuple[str, str], str]:
    """The names of the entries by task and digest of the arguments."""
    found: dict[tuple[str, str], str] = {}
    for entry in entries:
        task = entry.arguments.get("task")
        if not entry.enabled or not isinstance(task, str):
            continue
        args, kwargs = entry.arguments.get("args") or (), entry.arguments.get("kwargs") or {}
        try:
            digest = digest_as_sent(app, task, list(args), dict(kwargs))
        except Exception:  # arguments that no message can have
            continue
        found[task, digest] = entry.name
    return found


def _listening_s(entries: Iterable[SourceEntry]) -> float:
    """Long enough for the shortest period to pass once, within bounds."""
    schedules = (entry.arguments.get("schedule") for entry in entries if entry.enabled)
    periods = [each.total_seconds() for each in schedules if isinstance(each, timedelta)]
    shortest_s = min(periods, default=0.0)
    return max(LEAST_S, shortest_s + 1.0) if shortest_s < MOST_S else LEAST_S
