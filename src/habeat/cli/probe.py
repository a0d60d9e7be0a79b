"""``habeat health``: the command of that name for probes, which imports neither Celery nor the app.

So it cannot read the app's settings. It reads those that it needs from its options, or from the
environment variables with the settings' names in upper case, and `Settings` checks them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from habeat.cli.command import GuardedCommand
from habeat.cli.health import HEALTH_HELP, health_options, say_health
from habeat.client.attempts import Attempts, Connected
from habeat.client.location import Location
from habeat.client.status import Status, read_status
from habeat.client.unregistered import with_unregistered
from habeat.config import Settings
from habeat.config.from_app import policies_of

#: As long as a call of the Client may take.
TIMEOUT_S = 5.0


def main(argv: Sequence[str]) -> NoReturn:
    """Run ``habeat health`` with these arguments, and exit."""
    health.main(list(argv), prog_name="habeat health")
    raise AssertionError  # a click command exits


@click.command("health", cls=GuardedCommand, help=HEALTH_HELP)
@click.option(
    "--url",
    envvar="HABEAT_REDIS_URL",
    help="The Redis of the schedule, as in habeat_redis_url. A URL with a password belongs in "
    "HABEAT_REDIS_URL, because other users of the host can read the arguments of a process. "
    "Without either, CELERY_BROKER_URL is used.",
)
@click.option(
    "--prefix",
    envvar="HABEAT_KEY_PREFIX",
    help="The key prefix of the beats: habeat_key_prefix, or habeat: and the name of the app. "
    "Default: HABEAT_KEY_PREFIX.",
)
@click.option(
    "--redis-options",
    envvar="HABEAT_REDIS_OPTIONS",
    metavar="JSON",
    help="habeat_redis_options as a JSON object, for Sentinels, a Cluster or TLS. Default: "
    "HABEAT_REDIS_OPTIONS.",
)
@click.option(
    "--misfire-grace",
    envvar="HABEAT_MISFIRE_GRACE",
    type=float,
    metavar="SECONDS",
    help="habeat_misfire_grace, if the app sets it. Default: HABEAT_MISFIRE_GRACE, or 60.",
)
@health_options
def health(as_json: bool, require: str | None, **given: Any) -> None:
    """Answer by what is in Redis."""
    location = _location(**given)
    grace_ms = location.policies.misfire_grace_ms

    def read(session: Connected) -> Status:
        return with_unregistered(session.caller, read_status(session.inspection, grace_ms))

    calls = Attempts(lambda: location, TIMEOUT_S, Connected)
    say_health(lambda: calls.read(read), require=require, as_json=as_json)


def _location(
    url: str | None, prefix: str | None, redis_options: str | None, misfire_grace: float | None
) -> Location:
    """Where the schedule is, by these settings. UsageError or SettingsError."""
    broker_url = os.environ.get("CELERY_BROKER_URL")
    if not url and not broker_url:
        raise click.UsageError("expected --url, or the URL of the Redis in HABEAT_REDIS_URL")
    if not prefix:
        raise click.UsageError("expected --prefix, such as habeat:proj for Celery('proj')")
    conf = {
        "habeat_redis_url": url or None,
        "habeat_redis_options": _object(redis_options) if redis_options else None,
        "habeat_key_prefix": prefix,
        "habeat_misfire_grace": misfire_grace,
        "broker_url": broker_url,
    }
    settings = Settings.from_conf(conf, app_main=None)
    policies = policies_of(settings)
    return Location(settings.redis, settings.key_prefix, "", "UTC", policies)


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):  # the text may contain a password: it is not shown
        raise click.UsageError("invalid --redis-options: expected a JSON object")
    return found
