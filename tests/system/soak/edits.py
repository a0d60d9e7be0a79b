"""A burst of edits through the Client; what each means for the entry's slots is written down."""

from __future__ import annotations

from typing import Any

from tests.system.soak.arena import Arena

EDITS = 500


def burst(arena: Arena, count: int = EDITS) -> None:
    """Descriptions, periods, pauses, removals and new entries; what was paused is resumed."""
    lives = arena.accounts.lives
    for entry in list(arena.client.list(state="paused")):
        arena.client.resume(entry.name)
    names = [name for name, life in lives.items() if not life.is_over]
    for number, name in enumerate(arena.random.sample(names, min(count, len(names)))):
        lot = arena.random.random()
        if lot < 0.4:
            arena.client.update(name, description=f"edit {number}")
        elif lot < 0.65:
            _another_period(arena, name)
        elif lot < 0.8:
            arena.client.pause(name, "soak")
        else:
            _replaced(arena, name)


def _another_period(arena: Arena, name: str) -> None:
    """Only another period restarts the rhythm, at the moment of the edit."""
    life = arena.accounts.lives[name]
    entry = arena.client.update(name, schedule=arena.period())
    schedule: Any = entry.schedule
    grid = (schedule.every_ms, schedule.offset_ms or 0)
    last = life.stretches[-1]
    if grid != (last.every_ms, last.offset_ms):
        life.changed(*grid, entry.state.cursor_ms)


def _replaced(arena: Arena, name: str) -> None:
    """Removed, at a moment between two; and one of a name that never was before."""
    before_ms = _now_ms(arena)
    arena.client.remove(name)
    arena.accounts.lives[name].ended(before_ms, _now_ms(arena))
    fresh = arena.drawn(f"n{len(arena.accounts.lives):06d}", -1, 0)
    arena.born(arena.client.add(fresh.pop("name"), fresh.pop("task"), **fresh))


def _now_ms(arena: Arena) -> int:
    return round(arena.client.server_time().timestamp() * 1_000)
