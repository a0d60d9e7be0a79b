"""Alarms as JSON to `habeat_webhook_url`, and pings of `habeat_pings`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from habeat.beat.events.delivery import Lane, Request
from habeat.beat.json_log import shown_fact, shown_time
from habeat.config.web import Headers, WebUrl
from habeat.core.events import EVENTS, EventCode, Level
from habeat.core.firing import Outcome
from habeat.core.promises import EXPIRED
from habeat.log import Event
from habeat.store.inspection import Record

#: Alarms that wait together leave in one request.
ALARMS_PER_REQUEST = 50
#: How many threads make pings. All URLs of one host share one.
LANES = 4

#: Alarms, besides the events whose level is ERROR.
_ALSO = {EventCode.DATA_LOST}
#: Events that end an alarm. A new leader is not one of them: each deploy brings one.
_ENDS = {kind.ended_by for kind in EVENTS.values()} - {EventCode.LEADER_ACQUIRED}
#: An alarm about the webhook would go to the webhook.
_NEVER = {EventCode.WEBHOOK_FAILED}


def is_alarm(event: Event) -> bool:
    """Whether the event goes to the webhook: a problem, or its end."""
    wanted = event.level >= Level.ERROR or event.ended or event.code in _ALSO | _ENDS
    return wanted and event.code not in _NEVER


class Webhook:
    """Posts alarms. Its methods return at once."""

    def __init__(self, url: WebUrl, headers: Headers | None, source: Mapping[str, str]) -> None:
        """`source` says in each request where it comes from."""
        self._url = url
        self._headers = {
            "Content-Type": "application/json",
            **(headers.values if headers is not None else {}),
        }
        self._source = source
        self._lane: Lane[Mapping[str, Any]] = Lane(
            EventCode.WEBHOOK_FAILED, self._request, ALARMS_PER_REQUEST
        )

    def send(self, event: Event, at: datetime | None) -> None:
        """Post this event, if it is an alarm."""
        if is_alarm(event):
            alarm = {
                **{name: shown_fact(value) for name, value in (event.facts or {}).items()},
                "event": str(event.code),
                "level": event.level.name,
                "time": shown_time(at),
                "entry": shown_fact(event.entry),
                "message": event.message,
                "ended": event.ended or event.code in _ENDS,
            }
            self._lane.put(alarm)

    def close(self) -> None:
        """Post what waits, for a second at most."""
        self._lane.close()

    def _request(self, alarms: Sequence[Mapping[str, Any]]) -> Request:
        body = json.dumps({**self._source, "alarms": list(alarms)}).encode("ascii")
        return Request(self._url, body, self._headers)


class Pings:
    """Pings a URL for each slot of some entries. Its methods return at once."""

    def __init__(self, urls: Mapping[str, Mapping[str, WebUrl]]) -> None:
        self._urls = urls
        self._lanes: dict[int, Lane[WebUrl]] = {}

    def recorded(self, record: Record) -> None:
        """Ping for what the ledger has of a slot of the schedule."""
        if record.request:
            return
        if record.outcome in (Outcome.SENT, Outcome.LATE):
            self._ping(record.entry, "start")
            self._ping(record.entry, "success")
        elif record.outcome in (Outcome.MISSED, Outcome.FAILED) or record.reason == EXPIRED:
            self.failed(record.entry)

    def failed(self, entry: str) -> None:
        """Ping because a slot was not sent, or not in time."""
        self._ping(entry, "fail")

    def close(self) -> None:
        """Send the waiting pings, for at most a second."""
        for lane in self._lanes.values():
            lane.close()

    def _ping(self, entry: str, moment: str) -> None:
        url = self._urls.get(entry, {}).get(moment)
        if url is not None:
            number = hash(urlsplit(url.url).netloc) % LANES
            lane = self._lanes.get(number)
            if lane is None:
                lane = self._lanes[number] = Lane(EventCode.PING_FAILED, _get)
            lane.put(url)


def _get(urls: Sequence[WebUrl]) -> Request:
    return Request(urls[0])
