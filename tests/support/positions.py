"""Entries at a position that a test chooses, and where another beat goes on with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from habeat import Client
from habeat.entries.codec import encode
from habeat.ports.entries import Position, Write


def place(client: Client, name: str, cursor: datetime, *, owned: bool = False) -> None:
    """Set the cursor of an entry, which may become one of beat_schedule."""

    def write(session: Any) -> None:
        (stored,) = session.entries.read([name]).stored
        at_ms = int(cursor.timestamp() * 1_000)
        entry = replace(stored.entry, owner="config" if owned else "api")
        slot_ms = entry.next_slot_ms(at_ms)
        session.entries.write(
            [
                Write(
                    name,
                    stored.digest,
                    encode(entry),
                    owned=owned,
                    position=Position(at_ms, slot_ms, slot_ms),
                )
            ]
        )

    client._calls.write(write)


def assert_goes_on(
    is_due: Callable[[], tuple[bool, float]], slot: datetime | None, *, margin_s: float = 1.0
) -> None:
    """`is_due` of another beat's entry leads to this slot, however long the call takes."""
    assert slot is not None
    before = datetime.now(UTC)
    due, seconds = is_due()
    after = datetime.now(UTC)
    if due:
        assert slot <= after
        return
    wait, margin = timedelta(seconds=seconds), timedelta(seconds=margin_s)
    assert before + wait - margin <= slot <= after + wait + margin
