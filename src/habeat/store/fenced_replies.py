"""The replies of fenced scripts, as the ports have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from habeat.ports import Behind, Lost, Statuses, Unfenced
from habeat.store.calling import text


def unfenced(reply: Sequence[Any]) -> Unfenced | None:
    """Why a fenced script refused the call; None if it did not."""
    word = text(reply[0])
    if word == "lost":
        return Lost(text(reply[1]))
    return Behind(int(reply[1]), int(reply[2])) if word == "behind" else None


def statuses(reply: Sequence[Any]) -> Statuses | Unfenced:
    """The reply of a fenced script that returns one word per item."""
    if refusal := unfenced(reply):
        return refusal
    return Statuses(int(reply[1]), [text(word) for word in reply[3:]], int(reply[2]))
