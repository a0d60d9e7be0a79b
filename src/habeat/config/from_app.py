"""What an app's configuration says about its entries: policies, limits and the time zone."""

from __future__ import annotations

from dataclasses import fields
from datetime import tzinfo
from typing import Any

from habeat.config import Settings
from habeat.config.local_zone import local_zone_name
from habeat.config.zone_names import zone_name
from habeat.core.destinations import key_base, own_names
from habeat.core.entry import Delivery, Misfire, Policies
from habeat.core.limits import Limits
from habeat.core.shadow import owner_of


def owner_name(settings: Settings, app_main: str | None) -> str:
    """Who owns the keys under the app's prefix: the app, or its shadow."""
    return owner_of(app_main or settings.key_prefix, shadow=settings.shadow)


def policies_of(settings: Settings) -> Policies:
    """The policies of entries that do not set their own."""
    return Policies(
        misfire=Misfire(settings.misfire),
        misfire_grace_ms=settings.misfire_grace_ms,
        misfire_limit=settings.misfire_limit,
        delivery=Delivery(settings.delivery),
        misfire_window_ms=settings.misfire_window_ms,
        misfire_pace=settings.misfire_pace,
    )


def limits_of(settings: Settings, conf: Any) -> Limits:
    """The size limits of the app's entries, and the key names their messages must not use."""
    sizes = {row.name for row in fields(Limits)} - {"own_names", "task_serializer"}
    transport = conf.broker_transport_options or {}
    moved = str(transport.get("global_keyprefix") or "")
    own = own_names(key_base(settings.key_prefix), moved)
    return Limits(
        **{name: getattr(settings, name) for name in sizes},
        own_names=own,
        task_serializer=str(conf.task_serializer),
    )


def timezone_of(conf: Any) -> str:
    """The name of the time zone that an app's wall-clock schedules use.

    SettingsError if that is the host's zone and it has no name.
    """
    if isinstance(conf.timezone, tzinfo):
        return zone_name(conf.timezone)
    if conf.timezone:
        return str(conf.timezone)
    return "UTC" if conf.enable_utc else local_zone_name()
