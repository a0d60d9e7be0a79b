"""Entries at a position that a test chooses."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
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
