"""The table of all settings: name, kind, default, meaning and bounds.

A setting is defined here only: reading, validation and the check for unknown names use this table,
and a test compares `docs/reference/settings.md` with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from habeat.config.setting import Setting

SETTINGS: tuple[Setting, ...] = (
    Setting("habeat_redis_url", "url", None),
    Setting("habeat_redis_options", "options", None),
    Setting("habeat_key_prefix", "text", None),
    Setting("habeat_lease_ttl", "duration", 6.0, least=1, because="renewal needs that long"),
    Setting("habeat_crash_poll", "duration", 0.25, least=0.01, off_at_zero=True),
    Setting("habeat_dedup_ttl", "duration", 300, least=1),
    Setting("habeat_dispatch", "choice", "auto", choices=("auto", "atomic", "outbox")),
    Setting(
        "habeat_delivery", "choice", "at_least_once", choices=("at_least_once", "at_most_once")
    ),
    Setting("habeat_misfire", "choice", "latest", choices=("latest", "all", "skip")),
    Setting("habeat_misfire_grace", "duration", 60),
    Setting("habeat_misfire_limit", "count", 1000, least=1),
    Setting("habeat_misfire_window", "duration", None),
    Setting("habeat_misfire_pace", "rate", 50),
    Setting("habeat_wait_redis_replicas", "count", 0),
    Setting("habeat_publish_timeout", "duration", 3, least=0.01),
    Setting("habeat_outbox_window", "count", 50, least=1),
    Setting("habeat_template", "switch", True),
    Setting("habeat_remote_tasks", "names", ()),
    Setting("habeat_ledger_age", "duration", 86_400, least=1),
    Setting("habeat_ledger_length", "count", 1_000_000, least=1),
    Setting("habeat_changes_age", "duration", 7_776_000, least=1),
    Setting("habeat_changes_length", "count", 10_000, least=1),
    Setting("habeat_dead_age", "duration", 604_800, least=1),
    Setting("habeat_dead_length", "count", 10_000, least=1),
    Setting("habeat_definition_bytes", "count", 65_536, least=1),
    Setting("habeat_description_chars", "count", 2_000, least=1),
    Setting("habeat_reason_chars", "count", 500, least=1),
    Setting("habeat_tag_count", "count", 50, least=1),
    Setting("habeat_tag_chars", "count", 100, least=1),
    Setting("habeat_bulk_entries", "count", 10_000, least=1),
    Setting("habeat_error_chars", "count", 500, least=1),
    Setting("habeat_own_options", "names", ()),
    Setting("habeat_heartbeat_file", "path", None),
    Setting("habeat_log_json", "switch", False),
    Setting("habeat_webhook_url", "web", None),
    Setting("habeat_webhook_headers", "headers", None),
    Setting("habeat_pings", "pings", {}),
    Setting("habeat_http", "address", None),
    Setting("habeat_http_token", "secret", None),
    Setting("habeat_metrics_entries", "count", 100),
    Setting("habeat_shadow", "switch", False),
    Setting("habeat_ignored_schedulers", "names", ()),
)

BY_NAME: Mapping[str, Setting] = MappingProxyType({row.name: row for row in SETTINGS})
