"""Each attempt at a write of the controls has a stamp of its own."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from habeat.client.calendars import calendar_removed
from habeat.client.guard import NO_GUARD
from habeat.client.holding import paused_all
from habeat.client.stepping_down import ask
from habeat.client.windows import removed
from habeat.core.controls import StepDown
from habeat.ports import StoredControls


class Calls:
    """In place of the client's calls: the reply to the first attempt is lost."""

    guard = NO_GUARD

    def __init__(self) -> None:
        self.stamps: list[str] = []

    def read(self) -> StoredControls:
        return StoredControls("s", {"hold:w": "{}"})

    def write(self, attempt: Any, *_: Any, **__: Any) -> Any:
        if not callable(attempt):
            self.stamps.append(attempt)
            return "ok"
        session = SimpleNamespace(
            controls=self, inspection=SimpleNamespace(now_ms=lambda: 1_800_000_000_000)
        )
        attempt(session)
        return attempt(session)


@pytest.mark.parametrize(
    "act",
    [
        lambda calls: paused_all(calls, "", None, "me"),
        lambda calls: removed(calls, "w"),
        lambda calls: calendar_removed(calls, "c"),
        lambda calls: ask(calls, StepDown("1:a", "", 0, "me")),
    ],
)
def test_a_second_attempt_has_another_stamp(act: Callable[[Any], object]) -> None:
    calls = Calls()
    act(calls)
    assert len(calls.stamps) == len(set(calls.stamps)) == 2
