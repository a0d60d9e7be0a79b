"""Where a client's schedule is: which Redis, which prefix, which time zone.

It comes from a Celery app's settings or, without an app, from a URL and a prefix. An app's settings
are read when the client is first used, because clients are often created before the app is
configured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from habeat.config import Settings
from habeat.config.from_app import limits_of, owner_name, policies_of, timezone_of
from habeat.config.redis_target import RedisTarget, redis_target
from habeat.core.destinations import key_base, own_names
from habeat.core.entry import Policies
from habeat.core.limits import Limits
from habeat.errors import ValidationError
from habeat.schedules.zone import zone_named

DEFAULT_LEDGER_AGE_MS = 86_400_000


@dataclass(frozen=True)
class Location:
    """Everything a client has to know before it can use Redis.

    `app_name` is "" if it is unknown. `timezone` is for schedules without a zone of their own.
    `policies` are the app's, for entries without their own.
    """

    target: RedisTarget
    prefix: str
    app_name: str
    timezone: str
    policies: Policies = field(default_factory=Policies)
    ledger_age_ms: int = DEFAULT_LEDGER_AGE_MS
    limits: Limits = field(default_factory=Limits)


def location_of_app(app: Any) -> Location:
    """The location in a Celery app's settings; SettingsError if they have none."""
    settings = Settings.from_conf(app.conf, app_main=app.main)
    return Location(
        target=settings.redis,
        prefix=settings.key_prefix,
        app_name=owner_name(settings, app.main),
        timezone=timezone_of(app.conf),
        policies=policies_of(settings),
        ledger_age_ms=settings.ledger_age_ms,
        limits=limits_of(settings, app.conf),
    )


def checked_prefix(prefix: object) -> str:
    """`prefix` if it may be a key prefix; ValidationError otherwise."""
    if not isinstance(prefix, str) or not prefix or any(map(_cannot_be_in_prefix, prefix)):
        allowed = "the key prefix of the app's beats, such as 'habeat:proj'"
        raise ValidationError("prefix", prefix, allowed)
    return prefix


def _cannot_be_in_prefix(char: str) -> bool:
    return char in "{} \t\n" or "\ud800" <= char <= "\udfff"  # a surrogate is not UTF-8


def location_of_url(
    url: str, prefix: str | None, options: Mapping[str, Any] | None, timezone: str | None
) -> Location:
    """The location for a URL and a prefix; SettingsError or ValidationError if one is invalid."""
    prefix = checked_prefix(prefix)
    zone = "UTC" if timezone is None else timezone
    zone_named(zone)
    limits = Limits(own_names=own_names(key_base(prefix), ""))
    return Location(redis_target(url, options), prefix, "", zone, limits=limits)
