"""Retries: what is tried again, for how long, and which error is raised in the end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from habeat.client import Client
from habeat.client.calls import Overtaken, RetryingCalls
from habeat.client.location import Location, location_of_url
from habeat.config.redis_target import redis_target
from habeat.errors import RedisUnavailable, SettingsError, ValidationError
from habeat.ports import StoreUnavailable

PLACE = Location(redis_target("redis://u:hush@nowhere:1/0"), "habeat:x", "", "UTC")


class Clock:
    """Sleeping moves it, and nothing else does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        monkeypatch.setattr("habeat.client.budget._now_s", lambda: self.now)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def failing(times: int, error: Exception) -> tuple[Callable[[Any], str], list[int]]:
    turns: list[int] = []

    def attempt(session: Any) -> str:
        turns.append(1)
        if len(turns) <= times:
            raise error
        return "done"

    return attempt, turns


@pytest.mark.parametrize("fault", ["unreachable", "read_only", "busy"])
def test_what_may_pass_is_waited_for(fault: str, clock: Clock) -> None:
    calls = RetryingCalls(lambda: PLACE, 5.0, clock.sleep)
    attempt, turns = failing(4, StoreUnavailable(fault, "x"))
    assert calls.read(attempt) == "done"
    assert len(turns) == 5
    attempt, turns = failing(10**6, StoreUnavailable(fault, "x"))
    started = clock.now
    with pytest.raises(RedisUnavailable) as caught:
        calls.read(attempt)
    assert 3 < clock.now - started < 5
    assert "within 5 s" in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("fault", ["denied", "other", "out_of_memory"])
def test_what_does_not_pass_is_reported_at_once(fault: str, clock: Clock) -> None:
    calls = RetryingCalls(lambda: PLACE, 5.0, clock.sleep)
    attempt, turns = failing(1, StoreUnavailable(fault, "x"))
    with pytest.raises(RedisUnavailable, match="refused"):
        calls.read(attempt)
    assert len(turns) == 1


def test_who_was_overtaken_tries_again(clock: Clock) -> None:
    calls = RetryingCalls(lambda: PLACE, 5.0, clock.sleep)
    attempt, turns = failing(3, Overtaken("a"))
    assert calls.read(attempt) == "done"
    assert len(turns) == 4


def test_other_errors_pass_through(clock: Clock) -> None:
    attempt, turns = failing(1, KeyError("a bug"))
    with pytest.raises(KeyError):
        RetryingCalls(lambda: PLACE, 5.0, clock.sleep).read(attempt)
    assert len(turns) == 1


def test_each_call_has_a_desk_of_its_own_and_leaves_it_for_the_next() -> None:
    calls = RetryingCalls(lambda: PLACE, 5.0)
    inner: list[Any] = []

    def attempt(session: Any) -> Any:
        inner.append(calls.read(lambda other: other))
        return session

    outer = calls.read(attempt)
    assert inner[0] is not outer
    assert calls.read(lambda session: session) in (outer, inner[0])
    calls.close()


def test_a_client_is_made_without_looking_at_anything() -> None:
    class App:
        main = "proj"

        @property
        def conf(self) -> Any:
            raise AssertionError("read too early")

    client = Client(App())
    with pytest.raises(AssertionError, match="too early"):
        client.get("a")
    Client("redis://nowhere:1/0", prefix="habeat:x").close()


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"app": 5}, "app"),
        ({"app": "redis://h:1/0"}, "prefix"),
        ({"app": "redis://h:1/0", "prefix": "a{b"}, "prefix"),
        ({"app": "redis://h:1/0", "prefix": "x", "timezone": "Mars/Olympus"}, "tz"),
        ({"app": "redis://h:1/0", "prefix": "x", "timeout": 0}, "timeout"),
        ({"app": "redis://h:1/0", "prefix": "x", "timeout": "5"}, "timeout"),
    ],
)
def test_what_a_client_needs_to_know(given: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Client(**given)
    assert caught.value.field == field


def test_a_bad_url_or_option_is_refused_when_the_client_is_made() -> None:
    for url, options in (("http://h", None), ("redis://h:1/0", {"retry": 1})):
        with pytest.raises(SettingsError):
            location_of_url(url, "habeat:x", options, None)


def test_a_client_needs_no_celery() -> None:
    code = "import sys, habeat.client\nprint('celery' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "False"
