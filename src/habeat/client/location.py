"""Where a client's schedule lives: which Redis, under which prefix, in which time zone.

It comes from a Celery app's settings, or from a URL and a prefix where there is no app. An app
is read when the client is first used and not before: clients are made beside the app, often
before it is configured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from habeat.config import Settings
from habeat.config.from_app import limits_of, policies_of, timezone_of
from habeat.core.destinations import key_base, own_names
from habeat.core.entry import Policies
from habeat.core.limits import Limits
from habeat.errors import ValidationError
from habeat.schedules.zone import zone_named
from habeat.store.target import RedisTarget, redis_target

DEFAULT_LEDGER_AGE_MS = 86_400_000


@dataclass(frozen=True)
class Location:
    """Everything a client has to know before it may ask Redis.

    `app_name` is "" where it is not known; `timezone` is the one for schedules that name none.
    `policies` are those of the app, for entries that have none of their own.
    """

    target: RedisTarget
    prefix: str
    app_name: str
    timezone: str
    policies: Policies = field(default_factory=Policies)
    ledger_age_ms: int = DEFAULT_LEDGER_AGE_MS
    limits: Limits = field(default_factory=Limits)


def location_of_app(app: Any) -> Location:
    """The location that a Celery app's settings name; SettingsError if they name none."""
    settings = Settings.from_conf(app.conf, app_main=app.main)
    strict = not settings.redis_options_from_broker
    return Location(
        redis_target(settings.redis_url, settings.redis_options, strict=strict),
        settings.key_prefix,
        app.main or settings.key_prefix,
        timezone_of(app.conf),
        policies_of(settings),
        settings.ledger_age_ms,
        limits_of(settings, app.conf),
    )


def location_of_url(
    url: str, prefix: str | None, options: Mapping[str, Any] | None, timezone: str | None
) -> Location:
    """The location under a URL; SettingsError and ValidationError name what is wrong."""
    if not isinstance(prefix, str) or not prefix or set(prefix) & set("{} \t\n"):
        raise ValidationError(
            "prefix", prefix, "the key prefix of the app's beats, such as 'habeat:proj'"
        )
    zone = "UTC" if timezone is None else timezone
    zone_named(zone)
    limits = Limits(own_names=own_names(key_base(prefix), ""))
    return Location(redis_target(url, options), prefix, "", zone, limits=limits)
