"""The table of all settings: name, kind, default, meaning and bounds.

A setting is defined here only: reading, validation and the check for unknown names use this table,
and a test compares `docs/reference/settings.md` with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from habeat.config.setting import Setting

SETTINGS: tuple[Setting, ...] = (
    Setting(
        "habeat_redis_url",
        "url",
        None,
        "The Redis that stores the schedule and its state; by default the broker, if that is a "
        "Redis.",
    ),
    Setting(
        "habeat_redis_options",
        "options",
        None,
        "Options of that connection; by default the broker's, if the Redis is the broker.",
    ),
    Setting(
        "habeat_key_prefix",
        "text",
        None,
        "The prefix of all key names; by default `habeat:` and the app's name.",
    ),
    Setting(
        "habeat_lease_ttl",
        "duration",
        6.0,
        "How long a leader that froze or was cut off can delay a takeover.",
        least=1,
        because="renewal needs that long",
    ),
    Setting(
        "habeat_crash_poll",
        "duration",
        0.25,
        "How often the two nearest standbys check that the leader is still connected; 0 means "
        "never.",
        least=0.01,
        off_at_zero=True,
    ),
    Setting(
        "habeat_dedup_ttl",
        "duration",
        300,
        "How long the key of one firing is kept, in addition to the cursor, which is kept forever.",
        least=1,
    ),
    Setting(
        "habeat_dispatch",
        "choice",
        "auto",
        "Whether claiming and enqueuing are one script (atomic) or separate steps (outbox).",
        choices=("auto", "atomic", "outbox"),
    ),
    Setting(
        "habeat_delivery",
        "choice",
        "at_least_once",
        "What to do when a crash leaves it unclear whether a message was sent: resend it with the "
        "same task id, or drop it.",
        choices=("at_least_once", "at_most_once"),
    ),
    Setting(
        "habeat_misfire",
        "choice",
        "latest",
        "Which slots still fire after being missed for longer than the grace.",
        choices=("latest", "all", "skip"),
    ),
    Setting(
        "habeat_misfire_grace",
        "duration",
        60,
        "How late a slot may be and still fire normally.",
    ),
    Setting(
        "habeat_misfire_limit",
        "count",
        1000,
        "The maximum number of missed slots that `all` fires for one entry.",
        least=1,
    ),
    Setting(
        "habeat_misfire_window",
        "duration",
        None,
        "How old a missed slot may be and still fire; no limit by default.",
    ),
    Setting(
        "habeat_misfire_pace",
        "rate",
        50,
        "How many missed slots of one entry `all` fires per second.",
    ),
    Setting(
        "habeat_wait_redis_replicas",
        "count",
        0,
        "How many Redis replicas must have a claim before its message is sent.",
    ),
    Setting(
        "habeat_publish_timeout",
        "duration",
        3,
        "How long one attempt to publish a message may take.",
        least=0.01,
    ),
    Setting(
        "habeat_outbox_window",
        "count",
        50,
        "How many messages of a burst the outbox may send before they are settled; a crash repeats "
        "at most these.",
        least=1,
    ),
    Setting(
        "habeat_template",
        "switch",
        True,
        "Whether messages may be built from templates learned from Celery's own; see below.",
    ),
    Setting(
        "habeat_remote_tasks",
        "names",
        (),
        "Tasks that other apps' workers run, as names or beginnings of names (`billing.*`).",
    ),
    Setting(
        "habeat_ledger_age",
        "duration",
        86_400,
        "How long the ledger keeps a record.",
        least=1,
    ),
    Setting(
        "habeat_ledger_length",
        "count",
        1_000_000,
        "The maximum number of records in the ledger.",
        least=1,
    ),
    Setting(
        "habeat_dead_age",
        "duration",
        604_800,
        "How long firings and requests that were given up are kept for `habeat dead`.",
        least=1,
    ),
    Setting(
        "habeat_dead_length",
        "count",
        10_000,
        "The maximum number of those that are kept; the oldest are removed first.",
        least=1,
    ),
    Setting(
        "habeat_definition_bytes",
        "count",
        65_536,
        "The maximum size of a stored definition or request, in bytes.",
        least=1,
    ),
    Setting(
        "habeat_description_chars",
        "count",
        2_000,
        "The maximum length of a description, in characters.",
        least=1,
    ),
    Setting(
        "habeat_reason_chars",
        "count",
        500,
        "The maximum length of a pause's reason, in characters.",
        least=1,
    ),
    Setting(
        "habeat_tag_count",
        "count",
        50,
        "The maximum number of tags per entry.",
        least=1,
    ),
    Setting(
        "habeat_tag_chars",
        "count",
        100,
        "The maximum length of a tag, in characters.",
        least=1,
    ),
    Setting(
        "habeat_bulk_entries",
        "count",
        10_000,
        "The maximum number of entries that one call of `add_many` may add.",
        least=1,
    ),
    Setting(
        "habeat_error_chars",
        "count",
        500,
        "The maximum length of a stored error text, in characters; the rest is cut.",
        least=1,
    ),
    Setting(
        "habeat_own_options",
        "names",
        (),
        "Options of entries that only code of yours reads, such as a router or a task class.",
    ),
    Setting(
        "habeat_heartbeat_file",
        "path",
        None,
        "A file that every tick of every replica touches, for liveness probes.",
    ),
)

BY_NAME: Mapping[str, Setting] = MappingProxyType({row.name: row for row in SETTINGS})
