"""Names that Windows and Outlook give to time zones, to say which IANA name to write instead.

They are only suggested. A Windows zone covers several countries, and habeat doesn't guess which.
"""

from __future__ import annotations

_IANA = {
    "utc": "UTC",
    "gmt": "Europe/London",
    "greenwich": "Atlantic/Reykjavik",
    "w. europe": "Europe/Berlin",
    "central europe": "Europe/Budapest",
    "central european": "Europe/Warsaw",
    "romance": "Europe/Paris",
    "e. europe": "Europe/Chisinau",
    "fle": "Europe/Kyiv",
    "gtb": "Europe/Bucharest",
    "turkey": "Europe/Istanbul",
    "israel": "Asia/Jerusalem",
    "egypt": "Africa/Cairo",
    "south africa": "Africa/Johannesburg",
    "russian": "Europe/Moscow",
    "arabian": "Asia/Dubai",
    "arab": "Asia/Riyadh",
    "iran": "Asia/Tehran",
    "pakistan": "Asia/Karachi",
    "india": "Asia/Kolkata",
    "nepal": "Asia/Kathmandu",
    "se asia": "Asia/Bangkok",
    "china": "Asia/Shanghai",
    "singapore": "Asia/Singapore",
    "taipei": "Asia/Taipei",
    "tokyo": "Asia/Tokyo",
    "korea": "Asia/Seoul",
    "w. australia": "Australia/Perth",
    "aus eastern": "Australia/Sydney",
    "e. australia": "Australia/Brisbane",
    "cen. australia": "Australia/Adelaide",
    "new zealand": "Pacific/Auckland",
    "eastern": "America/New_York",
    "us eastern": "America/Indiana/Indianapolis",
    "central": "America/Chicago",
    "canada central": "America/Regina",
    "mountain": "America/Denver",
    "us mountain": "America/Phoenix",
    "pacific": "America/Los_Angeles",
    "alaskan": "America/Anchorage",
    "hawaiian": "Pacific/Honolulu",
    "atlantic": "America/Halifax",
    "newfoundland": "America/St_Johns",
    "e. south america": "America/Sao_Paulo",
    "argentina": "America/Argentina/Buenos_Aires",
    "sa pacific": "America/Bogota",
}
_SUFFIX = " standard time"


def iana(name: str) -> str | None:
    """The IANA zone to suggest for a Windows name such as "W. Europe Standard Time"."""
    return _IANA.get(name.lower().removesuffix(_SUFFIX)) if looks_like_one(name) else None


def looks_like_one(name: str) -> bool:
    """Whether a name has the form of Windows, known here or not."""
    return name.lower().endswith(_SUFFIX)
