"""Checks of fields that several kinds of schedule share."""

from __future__ import annotations

from collections.abc import Sequence

from habeat.errors import ValidationError


def whole(field: str, value: object, low: int, high: int) -> int:
    """`value` if it is an integer within bounds and not a bool; ValidationError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValidationError(field, value, f"a whole number from {low} to {high}")
    return value


def real(field: str, value: object, low: float, high: float) -> float:
    """`value` as a float if it is a number within bounds, not NaN; ValidationError otherwise."""
    if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
        return float(value)
    raise ValidationError(field, value, f"a number from {low:g} to {high:g}")


def one_of(field: str, value: object, allowed: tuple[str, ...]) -> None:
    """Raise ValidationError unless `value` is one of `allowed`."""
    if not isinstance(value, str) or value not in allowed:
        raise ValidationError(field, value, choices([repr(word) for word in allowed]))


def choices(words: Sequence[str]) -> str:
    """The words as a choice: "a or b", "one of a, b, c"."""
    return " or ".join(words) if len(words) <= 2 else "one of " + ", ".join(words)
