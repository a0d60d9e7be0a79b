"""How a replica's declarations differ from what is stored: as registered, and in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from habeat.printable import printable

ANOTHER_DEFINITION = "another definition"
NOT_STORED = "not stored"
NOT_DECLARED = "not declared"


def differs_in(facts: Mapping[str, Any]) -> tuple[dict[str, str], int]:
    """The names that a replica has registered, each with how it differs, and their number.

    A replica of another release may have registered anything, or nothing.
    """
    given, count = facts.get("differs"), facts.get("differs_count")
    names = given if isinstance(given, Mapping) else {}
    found = {str(name): printable(str(word), 40) for name, word in names.items()}
    return found, max(len(found), count if isinstance(count, int) else 0)


def in_words(names: Mapping[str, str], count: int, most: int) -> str:
    """Some of these names with how each differs, and how many more there are."""
    shown = [f"{name!r} ({word})" for name, word in sorted(names.items())[:most]]
    return ", ".join(shown) + (f" and {count - len(shown)} more" if count > len(shown) else "")
