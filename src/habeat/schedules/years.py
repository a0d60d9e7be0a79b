"""The year field of a cron expression, which croniter reads only in part."""

from __future__ import annotations

import re

from habeat.errors import ValidationError

FIRST_YEAR, LAST_YEAR = 1970, 2099

_PART = re.compile(r"(?:\*|(\d{4})(?:-(\d{4}))?)(?:/(\d{1,3}))?", re.ASCII)


def years(field: str) -> tuple[int, ...] | None:
    """The years of a field such as "2027", "2027-2030", "2027/3" or "*/2"; None for every year."""
    found: set[int] = set()
    for part in field.split(","):
        found.update(_years_of(part, field))
    wanted = tuple(sorted(found))
    return None if len(wanted) == LAST_YEAR - FIRST_YEAR + 1 and "*" in field else wanted


def _years_of(part: str, field: str) -> range:
    match = _PART.fullmatch(part)
    if match is not None:
        first, last, step = int(match[1] or FIRST_YEAR), match[2], int(match[3] or 1)
        # A step after a single year goes on from it, as in the other fields.
        end = first if match[1] and not (last or match[3]) else int(last or LAST_YEAR)
        if FIRST_YEAR <= first <= end <= LAST_YEAR and step:
            return range(first, end + 1, step)
    allowed = f"{FIRST_YEAR}–{LAST_YEAR}, *, lists, ranges (2027-2030) or steps (*/2, 2027/2)"
    raise ValidationError("year", field, allowed)
