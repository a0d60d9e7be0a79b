"""Messages, as brokers carry them, to `Arrival` events; nothing of habeat's is used for reading."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tests.verification.history.events import Arrival


def arrival_of_message(message: bytes, at_us: int) -> Arrival | None:
    """A message as kombu puts it into a Redis list; None if it is not one of habeat's."""
    try:
        headers = json.loads(message)["headers"]
    except (ValueError, KeyError, TypeError):
        return None
    return arrival_of_headers(headers, at_us) if "habeat_entry" in headers else None


def arrival_of_headers(headers: Mapping[str, Any], at_us: int) -> Arrival:
    """A message by its headers, whatever broker it came from."""
    slot = datetime.fromisoformat(headers["habeat_slot"])
    slot_ms = round(slot.timestamp() * 1_000)
    return Arrival(
        at_us,
        headers["habeat_entry"],
        str(slot_ms),
        headers["id"],
        attempt=int(headers["habeat_attempt"]),
    )
