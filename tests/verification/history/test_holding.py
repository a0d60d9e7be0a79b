"""Slots that wait for the end of a window (`--misfire latest`), as the checker judges them."""

from __future__ import annotations

import pytest

from habeat.core.controls import stored_window
from habeat.core.holds import Window
from habeat.schedules import every
from tests.verification.history.tale import START_MS, Tale, begun


def _held(tale: Tale, window: Window) -> Tale:
    return tale.write("HSET", "controls", f"hold:{window.name}", stored_window(window)).end()


def _window(from_ms: int, until_ms: int, *, again_ms: int = 0, prefix: str = "") -> Window:
    schedule = every(again_ms / 1_000, offset=from_ms % again_ms / 1_000) if again_ms else None
    begins_ms = START_MS + from_ms
    return Window(
        "night",
        begins_ms,
        START_MS + until_ms,
        schedule=schedule,
        for_ms=500 if again_ms else 0,
        prefix=prefix,
        latest=True,
    )


def _fired_late(window: Window | None) -> Tale:
    tale = begun().until(1_500)
    if window is not None:
        _held(tale, window)
    return tale.renew().until(2_000).renew().until(3_900).renew().fire(2_000)


@pytest.mark.parametrize(
    ("window", "late"),
    [
        (None, True),
        (_window(1_500, 3_800), False),
        (_window(1_500, 2_100), True),
        (_window(1_500, 3_800, again_ms=1_000), True),
        (_window(1_500, 3_800, prefix="other."), True),
        (_window(1_500, 3_800, prefix="e"), False),
    ],
)
def test_a_slot_may_wait_for_the_end_of_its_window_and_no_longer(
    window: Window | None, late: bool
) -> None:
    problems = _fired_late(window).problems(prompt_us=500_000)
    assert any("after it was due" in problem for problem in problems) is late, problems
