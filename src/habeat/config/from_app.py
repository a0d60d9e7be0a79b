"""What is read off a Celery app for its entries: policies, limits, and the time zone."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from habeat.config import Settings
from habeat.core.destinations import key_base, own_names
from habeat.core.entry import Delivery, Misfire, Policies
from habeat.core.limits import Limits


def policies_of(settings: Settings) -> Policies:
    """What entries of an app do unless they say otherwise."""
    return Policies(
        misfire=Misfire(settings.misfire),
        misfire_grace_ms=settings.misfire_grace_ms,
        misfire_limit=settings.misfire_limit,
        delivery=Delivery(settings.delivery),
        misfire_window_ms=settings.misfire_window_ms,
        misfire_pace=settings.misfire_pace,
    )


def limits_of(settings: Settings, conf: Any) -> Limits:
    """How large the app's entries may be, and where their messages may not go."""
    sizes = {row.name for row in fields(Limits)} - {"own_names"}
    transport = conf.broker_transport_options or {}
    moved = str(transport.get("global_keyprefix") or "")
    own = own_names(key_base(settings.key_prefix), moved)
    return Limits(**{name: getattr(settings, name) for name in sizes}, own_names=own)


def timezone_of(conf: Any) -> str:
    """The IANA name of the zone in which an app's wall-clock schedules are meant."""
    if conf.timezone:
        return str(conf.timezone)
    return "UTC" if conf.enable_utc else local_zone_name()


def local_zone_name(localtime: Path = Path("/etc/localtime")) -> str:
    """This host's zone by its IANA name; UTC where it cannot be told."""
    parts = localtime.resolve().parts
    return "/".join(parts[parts.index("zoneinfo") + 1 :]) if "zoneinfo" in parts else "UTC"
