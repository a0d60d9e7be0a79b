"""What an entry may be called.

An entry of beat_schedule has whatever name Celery takes: any text, of any characters, such as the
repr of an unnamed `add_periodic_task`. Names are stored as they are and escaped where they are
shown. The limit on their length is what the scripts can pass through Redis in the time that they
have.

The API is stricter, because tenants may choose these names: no characters that act on a terminal,
break a line or turn the reading order around, and a length that fits on a page.
"""

from __future__ import annotations

import unicodedata
from typing import Any

from habeat.core.entry import Owner
from habeat.errors import ValidationError
from habeat.printable import Kind

DECLARED_MAX_BYTES = 8_192
API_MAX_CHARS = 1_000

#: The name of an entry whose key in beat_schedule is empty.
EMPTY = "(empty)"

DECEIVING = "control characters, line separators or marks of the reading order"
#: Controls (Cc), surrogates (Cs), line and paragraph separators (Zl, Zp); and marks of the reading
#: order.
_ACTING = frozenset(("Cc", "Cs", "Zl", "Zp"))
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def plain_name(given: Any) -> str:
    """A key of beat_schedule as exactly a str: it may be an enum, a lazy text or a number.

    Celery takes an empty one, too; it gets a name that can be read and typed.
    """
    return (str.__str__(given) if isinstance(given, str) else str(given)) or EMPTY


def check_name(name: Any, owner: Owner) -> None:
    """ValidationError if an entry of this owner may not be called that."""
    if not isinstance(name, str) or not name:
        raise ValidationError("name", name, "a non-empty string")
    try:
        size_bytes = len(name.encode())
    except UnicodeEncodeError:
        raise ValidationError("name", name, "a string without lone surrogates") from None
    if owner == "api":
        _check_for_api(name)
    elif size_bytes > DECLARED_MAX_BYTES:
        raise ValidationError(
            "name",
            Kind(f"{size_bytes} bytes"),
            f"at most {DECLARED_MAX_BYTES} bytes; give the entry a name of its own",
            entry=name,
        )


def _check_for_api(name: str) -> None:
    if len(name) > API_MAX_CHARS:
        allowed = f"at most {API_MAX_CHARS} characters"
        raise ValidationError("name", Kind(f"{len(name)} characters"), allowed, entry=name)
    if deceives(name):
        raise ValidationError("name", name, f"no {DECEIVING}", entry=name)


def deceives(text: str) -> bool:
    """Whether the text has characters that could deceive a person who reads it."""
    return not text.isprintable() and any(map(_is_deceiving, text))


def _is_deceiving(character: str) -> bool:
    return character in _TURNING or unicodedata.category(character) in _ACTING
