"""Alarms and pings to a real web service: one that answers, hangs, redirects, or fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from habeat.beat.events.delivery import WAITING_MAX, Lane, Refused, Request, request
from habeat.beat.events.webhook import ALARMS_PER_REQUEST, Pings, Webhook, is_alarm
from habeat.config.web import WebUrl, headers, pings
from habeat.core.events import EVENTS, EventCode, Level
from habeat.core.firing import Outcome
from habeat.log import Event
from tests.integration.web_service import WebService, web_service
from tests.support.servers.children import free_port, until
from tests.unit.beat.test_event_watch import SENT

AT = datetime(2027, 1, 15, 8, tzinfo=UTC)
ALARM = Event(EventCode.SLOT_LATE, Level.ERROR, "habeat: late", "a", facts={"start_by_ms": 5_000})
QUICK = partial(request, timeout_s=0.3, deadline_s=0.6)


@pytest.fixture
def service() -> Iterator[WebService]:
    with web_service() as found:
        yield found


Make = Callable[..., Lane[str]]


@pytest.fixture
def lane(service: WebService) -> Iterator[Make]:
    made: list[Lane[str]] = []

    def make(
        pauses_s: tuple[float, ...] = (0.01, 0.01), url: str = "", batch: int = 1
    ) -> Lane[str]:
        def one(items: Any) -> Request:
            return Request(WebUrl(f"{url or service.url}/{'+'.join(items)}"))

        made.append(Lane(EventCode.PING_FAILED, one, batch, pauses_s=pauses_s, send=QUICK))
        return made[-1]

    yield make
    service.over.set()
    for each in made:
        each.close()


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name == "habeat"]


def test_a_request_that_fails_is_repeated_until_it_is_taken(
    service: WebService, lane: Make, caplog: pytest.LogCaptureFixture
) -> None:
    service.answers = [500, 503]
    one = lane()
    one.put("a")
    one.put("b")
    until(lambda: "/b" in service.paths, 10, "both are delivered")
    assert service.paths == ["/a", "/a", "/a", "/b"]
    until(lambda: len(lines(caplog)) == 3, 10, "it is over")
    assert lines(caplog) == [
        f"habeat: a request to {service.url}/… failed (HTTP status 500); trying again",
        f"habeat: a request to {service.url}/… failed (HTTP status 503); trying again",
        f"habeat: {service.url}/… takes requests again",
    ]


def test_a_redirect_is_not_followed_and_a_refusal_is_not_repeated(
    service: WebService, lane: Make, caplog: pytest.LogCaptureFixture
) -> None:
    service.answers = [302, 404]
    one = lane()
    for item in ("a", "b", "c"):
        one.put(item)
    until(lambda: "/c" in service.paths, 10, "the next one is delivered")
    assert service.paths == ["/a", "/b", "/c"]
    assert "HTTP status 302, a redirect, which is not followed); dropped" in lines(caplog)[0]
    assert one.dropped == 2


@pytest.mark.parametrize("way", [0, -1], ids=["says nothing", "answers byte by byte"])
def test_a_service_that_hangs_is_given_up_and_the_rest_is_dropped_in_the_end(
    service: WebService, lane: Make, way: int
) -> None:
    service.answers = [way] * 3
    one = lane()
    one.put("a")
    one.put("b")
    until(lambda: "/b" in service.paths, 20, "the next one is delivered")
    assert service.paths == ["/a", "/a", "/a", "/b"]
    assert one.dropped == 1


def test_a_service_that_is_away_is_logged_without_secrets(
    lane: Make, caplog: pytest.LogCaptureFixture
) -> None:
    one = lane(pauses_s=(), url=f"http://user:hush@127.0.0.1:{free_port()}/hush")
    one.put("a")
    until(lambda: one.dropped, 10, "it is dropped")
    assert "ConnectionRefusedError" in lines(caplog)[0]
    assert "hush" not in caplog.text


def test_the_queue_is_bounded_and_the_newest_stay(service: WebService, lane: Make) -> None:
    service.answers = [0]
    one = lane(pauses_s=(), batch=WAITING_MAX)
    one.put("first")
    until(lambda: service.asked, 10, "the first one is under way")
    for number in range(WAITING_MAX + 10):
        one.put(str(number))
    assert one.dropped >= 10
    until(lambda: len(service.asked) == 2, 10, "the others are delivered")
    assert service.paths[1].startswith("/10+11+")


def test_a_stop_delivers_what_waits_and_waits_for_no_service_that_hangs(
    service: WebService, lane: Make
) -> None:
    one = lane()
    one.put("a")
    one.close()
    assert service.paths == ["/a"]
    one.put("b")
    service.answers = [0]
    other = lane()
    other.put("c")
    other.close()
    assert "/b" not in service.paths


def test_a_login_in_the_url_becomes_a_header(service: WebService) -> None:
    url = service.url.replace("//", "//me:p%40ss@") + "/x?y=1"
    request(Request(WebUrl(url)))
    (asked,) = service.asked
    assert (asked.method, asked.path) == ("GET", "/x?y=1")
    assert asked.headers["Authorization"] == "Basic bWU6cEBzcw=="


def test_refused_says_what_is_worth_repeating() -> None:
    assert [status for status in (301, 400, 404, 408, 429, 500) if Refused(status).again] == [
        408,
        429,
        500,
    ]


# -- alarms -----------------------------------------------------------------------------------


@pytest.fixture
def webhook(service: WebService) -> Iterator[Webhook]:
    own = headers({"Authorization": "Bearer token"})
    made = Webhook(WebUrl(f"{service.url}/hook"), own, {"source": "habeat", "host": "h"})
    yield made
    made.close()


def test_an_alarm_says_what_happened_to_which_entry(service: WebService, webhook: Webhook) -> None:
    webhook.send(ALARM, AT)
    webhook.close()
    (asked,) = service.asked
    assert (asked.method, asked.path) == ("POST", "/hook")
    assert asked.headers["Authorization"] == "Bearer token"
    assert asked.headers["Content-Type"] == "application/json"
    assert asked.alarms == [
        {
            "event": "slot_late",
            "level": "ERROR",
            "time": "2027-01-15T08:00:00.000Z",
            "entry": "a",
            "message": "habeat: late",
            "ended": False,
            "start_by_ms": 5_000,
        }
    ]


def test_alarms_that_wait_leave_together(service: WebService, webhook: Webhook) -> None:
    service.answers = [503]  # the first one waits for a second
    count = ALARMS_PER_REQUEST + 5
    for number in range(count):
        webhook.send(replace(ALARM, entry=f"e{number}"), AT)

    def taken() -> list[str]:
        return [alarm["entry"] for asked in service.asked[1:] for alarm in asked.alarms]

    until(lambda: len(taken()) >= count, 10, "all have come")
    assert taken() == [f"e{number}" for number in range(count)]
    assert len(service.asked) <= 4


def test_problems_and_their_ends_are_alarms_and_nothing_else_is() -> None:
    def alarms(code: EventCode) -> bool:
        return is_alarm(Event(code, EVENTS[code].level or Level.INFO, ""))

    assert alarms(EventCode.SLOT_LATE)
    assert alarms(EventCode.DATA_LOST)
    assert alarms(EventCode.REDIS_UNAVAILABLE)
    assert alarms(EventCode.REDIS_AVAILABLE)
    assert is_alarm(replace(ALARM, code=EventCode.ENTRY_WAITS, level=Level.WARNING, ended=True))
    assert not alarms(EventCode.LEADER_ACQUIRED)
    assert not alarms(EventCode.STANDING_BY)
    assert not alarms(EventCode.WEBHOOK_FAILED)


# -- pings ------------------------------------------------------------------------------------


def test_a_slot_pings_when_its_message_is_out_and_when_it_will_never_be(
    service: WebService,
) -> None:
    urls = pings({"a": f"{service.url}/a", "b": {"start": f"{service.url}/b/start"}})
    assert urls is not None
    made = Pings(urls)
    made.recorded(SENT)
    made.recorded(replace(SENT, entry="b"))
    made.recorded(replace(SENT, entry="without"))
    made.recorded(replace(SENT, request="by hand"))
    for outcome in (Outcome.MISSED, Outcome.FAILED):
        made.recorded(replace(SENT, outcome=outcome))
        made.recorded(replace(SENT, entry="b", outcome=outcome))
    made.recorded(replace(SENT, outcome=Outcome.SKIPPED, reason="expired"))
    made.recorded(replace(SENT, outcome=Outcome.SKIPPED, reason="paused"))
    made.failed("a")
    made.close()
    assert [asked.method for asked in service.asked] == ["GET"] * 6
    assert service.paths == ["/a", "/b/start", *["/a/fail"] * 4]
