"""Where a client's schedule lives: which Redis, under which prefix, in which time zone.

It comes from a Celery app's settings, or from a URL and a prefix where there is no app. An app
is read when the client is first used and not before: clients are made beside the app, often
before it is configured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from habeat.config import Settings
from habeat.core.destinations import own_names
from habeat.core.entry import Delivery, Misfire, Policies
from habeat.core.limits import Limits
from habeat.errors import ValidationError
from habeat.schedules.zone import zone_named
from habeat.store.keys import Keys
from habeat.store.target import RedisTarget, redis_target

DEFAULT_LEDGER_AGE_MS = 86_400_000


@dataclass(frozen=True)
class Place:
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


def place_of_app(app: Any) -> Place:
    """The place that a Celery app's settings name; SettingsError if they name none."""
    settings = Settings.from_conf(app.conf, app_main=app.main)
    strict = not settings.redis_options_from_broker
    return Place(
        redis_target(settings.redis_url, settings.redis_options, strict=strict),
        settings.key_prefix,
        app.main or settings.key_prefix,
        timezone_of(app.conf),
        policies_of(settings),
        settings.ledger_age_ms,
        limits_of(settings, app.conf),
    )


def place_of_url(
    url: str, prefix: str | None, options: Mapping[str, Any] | None, timezone: str | None
) -> Place:
    """The place under a URL; SettingsError and ValidationError name what is wrong."""
    if not isinstance(prefix, str) or not prefix or set(prefix) & set("{} \t\n"):
        raise ValidationError(
            "prefix", prefix, "the key prefix of the app's beats, such as 'habeat:proj'"
        )
    zone = "UTC" if timezone is None else timezone
    zone_named(zone)
    limits = Limits(own_names=own_names(Keys(prefix).base, ""))
    return Place(redis_target(url, options), prefix, "", zone, limits=limits)


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
    base, transport = Keys(settings.key_prefix).base, conf.broker_transport_options or {}
    own = own_names(base, str(transport.get("global_keyprefix") or ""))
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
