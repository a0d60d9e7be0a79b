"""The table of all settings: what each is called, what it may be, and what it means.

One row per setting. Reading, validation, the check for unknown names and the documentation
(`docs/reference/settings.md`, held to this table by a test) all go by it, so a setting exists once.
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
        "The Redis that keeps the schedule and its state; the broker, if that is a Redis.",
    ),
    Setting(
        "habeat_redis_options",
        "options",
        None,
        "Options of that connection; the broker's own, if the Redis is the broker.",
    ),
    Setting(
        "habeat_key_prefix",
        "text",
        None,
        "What the names of all keys begin with; `habeat:` and the app's name.",
    ),
    Setting(
        "habeat_lease_ttl",
        "duration",
        6.0,
        "How long a leader that was cut off may hold the others up.",
        least=1,
        because="below what renewal needs",
    ),
    Setting(
        "habeat_crash_poll",
        "duration",
        0.25,
        "How often the two nearest standbys look whether the leader's connection is still there; "
        "0 is never.",
        least=0.01,
        off_at_zero=True,
    ),
    Setting(
        "habeat_dedup_ttl",
        "duration",
        300,
        "How long the key of one firing is kept, beside the cursor, which is kept for ever.",
        least=1,
    ),
    Setting(
        "habeat_dispatch",
        "choice",
        "auto",
        "Whether claim and enqueue are one script (atomic) or two steps (outbox).",
        choices=("auto", "atomic", "outbox"),
    ),
    Setting(
        "habeat_delivery",
        "choice",
        "at_least_once",
        "What the outbox does with a firing whose fate a crash left unknown.",
        choices=("at_least_once", "at_most_once"),
    ),
    Setting(
        "habeat_misfire",
        "choice",
        "latest",
        "Which of the slots that were missed for longer than the grace still fire.",
        choices=("latest", "all", "skip"),
    ),
    Setting(
        "habeat_misfire_grace",
        "duration",
        60,
        "How late a slot may be and still fires as if nothing had happened.",
    ),
    Setting(
        "habeat_misfire_limit",
        "count",
        1000,
        "How many missed slots of one entry `all` fires at most.",
        least=1,
    ),
    Setting(
        "habeat_misfire_window",
        "duration",
        None,
        "How old a missed slot may be and still fires; without it the age does not matter.",
    ),
    Setting(
        "habeat_misfire_pace",
        "rate",
        50,
        "How many missed slots of one entry `all` fires in a second.",
    ),
    Setting(
        "habeat_wait_redis_replicas",
        "count",
        0,
        "How many Redis replicas must have a claim before its message leaves.",
    ),
    Setting(
        "habeat_publish_timeout",
        "duration",
        3,
        "How long one attempt to give a message to the broker may take.",
        least=0.01,
    ),
    Setting(
        "habeat_outbox_window",
        "count",
        50,
        "How many messages of a burst the outbox may have on their way at once; a crash repeats "
        "no more than these.",
        least=1,
    ),
    Setting(
        "habeat_template",
        "switch",
        True,
        "Whether a message may be made from a template learned from Celery's own; see below.",
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
        "How many records the ledger keeps at most.",
        least=1,
    ),
    Setting(
        "habeat_dead_age",
        "duration",
        604_800,
        "How long a firing or request that was given up is kept for `habeat dead`.",
        least=1,
    ),
    Setting(
        "habeat_dead_length",
        "count",
        10_000,
        "How many of them are kept at most; the oldest go first.",
        least=1,
    ),
    Setting(
        "habeat_definition_bytes",
        "count",
        65_536,
        "How large a stored definition or request may be, in bytes.",
        least=1,
    ),
    Setting(
        "habeat_description_chars",
        "count",
        2_000,
        "How long a description may be.",
        least=1,
    ),
    Setting(
        "habeat_reason_chars",
        "count",
        500,
        "How long the reason of a pause may be.",
        least=1,
    ),
    Setting(
        "habeat_tag_count",
        "count",
        50,
        "How many tags an entry may have.",
        least=1,
    ),
    Setting(
        "habeat_tag_chars",
        "count",
        100,
        "How long a tag may be.",
        least=1,
    ),
    Setting(
        "habeat_bulk_entries",
        "count",
        10_000,
        "How many entries one call of `add_many` may add.",
        least=1,
    ),
    Setting(
        "habeat_error_chars",
        "count",
        500,
        "How long the text of an error may be where it is stored; the rest is cut.",
        least=1,
    ),
    Setting(
        "habeat_heartbeat_file",
        "path",
        None,
        "A file that every tick touches, of leader and standby: the liveness probe.",
    ),
)

BY_NAME: Mapping[str, Setting] = MappingProxyType({row.name: row for row in SETTINGS})
