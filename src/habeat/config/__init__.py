"""The settings: Celery's configuration, read once into one frozen, validated `Settings`.

Nothing else in habeat reads the configuration. Values are read with ``conf.get``; defaults are
never added to Celery's configuration, because `app.add_defaults` overrides what the user set.
Celery itself is not imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from habeat.config.address import Address
from habeat.config.location import broker_is_redis, configured_redis
from habeat.config.names import Conf, check_names
from habeat.config.redis_target import RedisTarget
from habeat.config.setting import Setting
from habeat.config.table import BY_NAME, SETTINGS
from habeat.config.web import Headers, WebUrl
from habeat.core.other_schedulers import SOURCES
from habeat.core.shadow import shadow_prefix
from habeat.errors import SettingsError

__all__ = ["SETTINGS", "Setting", "Settings"]

# These are read separately, because each depends on more than its own value.
_DERIVED = ("habeat_redis_url", "habeat_redis_options", "habeat_key_prefix")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every setting of one app; the fields are the settings without their prefix.

    Times are milliseconds. `redis` is what `habeat_redis_url` and `habeat_redis_options` say. The
    `key_prefix` of a shadow is not the one that the app's real beats use (core/shadow.py).
    """

    redis: RedisTarget
    key_prefix: str
    lease_ttl_ms: int
    crash_poll_ms: int
    dedup_ttl_ms: int
    dispatch: str
    delivery: str
    misfire: str
    misfire_grace_ms: int
    misfire_limit: int
    misfire_window_ms: int | None
    misfire_pace: float
    wait_redis_replicas: int
    publish_timeout_ms: int
    outbox_window: int
    template: bool
    remote_tasks: tuple[str, ...]
    ledger_age_ms: int
    ledger_length: int
    changes_age_ms: int
    changes_length: int
    dead_age_ms: int
    dead_length: int
    definition_bytes: int
    description_chars: int
    reason_chars: int
    tag_count: int
    tag_chars: int
    bulk_entries: int
    error_chars: int
    own_options: tuple[str, ...]
    heartbeat_file: str | None
    log_json: bool
    webhook_url: WebUrl | None
    webhook_headers: Headers | None
    pings: Mapping[str, Mapping[str, WebUrl]]
    http: Address | None
    http_token: str | None = field(repr=False)
    metrics_entries: int
    shadow: bool
    ignored_schedulers: tuple[str, ...]

    @classmethod
    def from_conf(cls, conf: Conf, *, app_main: str | None) -> Settings:
        """Read `app.conf` (or a dict) of an app named `app_main`.

        Raises SettingsError for the first invalid value or name, in one sentence that names the
        setting.
        """
        check_names(conf)
        values: dict[str, Any] = {
            row.attribute: row.read(conf.get(row.name))
            for row in SETTINGS
            if row.name not in _DERIVED
        }
        prefix = _key_prefix(conf.get("habeat_key_prefix"), app_main)
        settings = cls(
            redis=configured_redis(conf),
            key_prefix=shadow_prefix(prefix) if values["shadow"] else prefix,
            **values,
        )
        _check_times(settings)
        _check_ignored(settings)
        _check_http(settings)
        _check_dispatch(settings, broker_is_redis(conf))
        return settings


def _key_prefix(given: object, app_main: str | None) -> str:
    row = BY_NAME["habeat_key_prefix"]
    # Every app created in a script is named __main__, so that name would not keep two apps apart.
    if given is None and app_main in (None, "", "__main__"):
        raise SettingsError(
            row.name,
            "the app has no name of its own, so its keys could collide with those of another app: "
            f"name it, as in Celery('proj'), or set {row.name}",
        )
    return str(row.read(f"habeat:{app_main}" if given is None else given))


def _check_times(settings: Settings) -> None:
    ttl_s = settings.lease_ttl_ms / 1000
    if settings.crash_poll_ms * 2 >= settings.lease_ttl_ms:
        raise SettingsError(
            "habeat_crash_poll",
            f"invalid habeat_crash_poll {settings.crash_poll_ms / 1000:g} s: expected less than "
            f"half of habeat_lease_ttl ({ttl_s:g} s), or 0 to switch it off",
        )
    if settings.dedup_ttl_ms < settings.lease_ttl_ms:
        raise SettingsError(
            "habeat_dedup_ttl",
            f"invalid habeat_dedup_ttl {settings.dedup_ttl_ms / 1000:g} s: expected at least "
            f"habeat_lease_ttl ({ttl_s:g} s)",
        )


def _check_ignored(settings: Settings) -> None:
    unknown = sorted(set(settings.ignored_schedulers) - set(SOURCES))
    if unknown:
        allowed = ", ".join(map(repr, SOURCES))
        raise SettingsError(
            "habeat_ignored_schedulers",
            f"invalid habeat_ignored_schedulers {unknown[0]!r}: expected some of {allowed}",
        )


def _check_http(settings: Settings) -> None:
    address = settings.http
    if address is not None and not address.is_local and settings.http_token is None:
        raise SettingsError(
            "habeat_http",
            f"habeat_http is {str(address)!r}, which other hosts can reach, and there is no "
            "habeat_http_token: set one (python -c 'import secrets; "
            "print(secrets.token_urlsafe())'), or use 127.0.0.1",
        )


def _check_dispatch(settings: Settings, broker_is_redis: bool) -> None:
    if settings.dispatch != "atomic":
        return
    if settings.wait_redis_replicas > 0:
        raise SettingsError(
            "habeat_dispatch",
            "habeat_dispatch is 'atomic' and habeat_wait_redis_replicas is "
            f"{settings.wait_redis_replicas}, but Redis cannot wait for its replicas inside a "
            "script: choose 'auto' or 'outbox', or set habeat_wait_redis_replicas to 0",
        )
    if not broker_is_redis:
        raise SettingsError(
            "habeat_dispatch",
            "habeat_dispatch is 'atomic', but the broker is not a Redis: choose 'auto' or 'outbox'",
        )
