"""Slots that only one side has, paired in the order of time: what vanishes, appears or moves.

A slot that vanishes moves to the next one that appears, or from the previous one, if no slot lies
between the two and neither has a nearer neighbour on its other side. So a run that moves from 08:00
to 09:00 is one move a day, and a `*/10` that becomes `*/15` keeps its half hours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pairs:
    """Slots in Unix ms, sorted; a move is from the first to the second."""

    vanish: list[int]
    appear: list[int]
    moves: list[tuple[int, int]]


def paired(old: Sequence[int], new: Sequence[int]) -> Pairs:
    """What becomes of the slots that only one side has."""
    kept = set(old).intersection(new)
    sides = [(at, "kept" if at in kept else "old") for at in old]
    marked = sorted(sides + [(at, "new") for at in new if at not in kept])
    found = Pairs([], [], [])
    at = 0
    while at < len(marked):
        slot_ms, side = marked[at]
        moves = side != "kept" and _moves(marked, at)
        if moves:
            other_ms = marked[at + 1][0]
            found.moves.append((slot_ms, other_ms) if side == "old" else (other_ms, slot_ms))
        elif side != "kept":
            (found.vanish if side == "old" else found.appear).append(slot_ms)
        at += 2 if moves else 1
    return found


def _moves(marked: Sequence[tuple[int, str]], at: int) -> bool:
    """Whether this slot and the next one are the two ends of a move."""
    if at + 1 == len(marked):
        return False
    (slot_ms, side), (next_ms, other) = marked[at : at + 2]
    if other in ("kept", side):
        return False
    if at + 2 == len(marked) or marked[at + 2][1] != side:
        return True
    return marked[at + 2][0] - next_ms >= next_ms - slot_ms
