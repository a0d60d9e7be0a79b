"""The name under which a `tzinfo` is stored."""

from __future__ import annotations

from datetime import UTC, datetime, timezone, tzinfo

from habeat.config.local_zone import below_the_database, is_zone, local_zone_name
from habeat.errors import ValidationError

#: Classes of dateutil and Celery that stand for the host's zone.
_HOSTS = ("tzlocal", "LocalTimezone")


def zone_name(zone: tzinfo, moment: datetime | None = None) -> str:
    """The IANA name of a zone, or its offset if it is fixed, as in ``UTC+05:30``.

    `moment` is a time in that zone. It distinguishes the host's zone, as `astimezone()` returns it,
    from an offset that someone chose. ValidationError if the zone has no name.
    """
    # zoneinfo's name, pytz's, dateutil's
    for attribute in ("key", "zone", "_filename"):
        name = getattr(zone, attribute, None)
        if isinstance(name, str) and is_zone(name):
            return name
        if isinstance(name, str) and (below := below_the_database(name)):
            return below
    if type(zone).__name__ in _HOSTS or getattr(zone, "key", "") == "local":
        return local_zone_name()
    fixed = zone.utcoffset(None)
    if fixed is None:
        raise ValidationError(
            "tz",
            zone,
            "one with an IANA name, such as zoneinfo.ZoneInfo('Europe/Berlin')",
            problem=f"the time zone {zone!r} has no name",
        )
    if moment is not None and _is_the_hosts(zone, moment):
        return local_zone_name()
    return str(timezone(fixed))


def _is_the_hosts(zone: tzinfo, moment: datetime) -> bool:
    """Whether `astimezone()` made this zone: an offset under the host's own abbreviation."""
    if type(zone) is not timezone or zone == UTC:
        return False
    here = moment.astimezone()
    return (here.utcoffset(), here.tzname()) == (moment.utcoffset(), moment.tzname())
