"""The devices that keep names from forging, and Celery's settings from being lost."""

from __future__ import annotations

from tests.verification.mutations.device import SCRIPTS, Device

NAMES = "tests/integration/test_names.py"
BEAT_SCHEDULE = "tests/unit/beat/test_beat_schedule.py"
PRINTABLE = "tests/unit/test_printable.py"
DEADLINE = "tests/unit/beat/test_cron_starting_deadline.py"
TARGET = "tests/unit/test_redis_target.py"

ALL = [
    Device(
        "names: the mark is the last line",
        "A request's id belongs to its entry even if the name has line breaks",
        f"{SCRIPTS}/request.lua",
        "string.match(found, '^(.*)\\n[^\\n]*$') or found}",
        "string.match(found, '^[^\\n]*')}",
        NAMES,
    ),
    Device(
        "names: in Celery's own line",
        "A name cannot forge a line where Celery logs a firing",
        "beat/message/record.py",
        "name=Shown(entry.name),",
        "name=entry.name,",
        NAMES,
    ),
    Device(
        "names: in habeat's line",
        "A name cannot forge a line where habeat logs a firing",
        "engine/due_task_log.py",
        "Shown(claim.firing.entry)",
        "claim.firing.entry",
        NAMES,
    ),
    Device(
        "names: what deceives",
        "The API takes no name that acts on a terminal or turns the reading order around",
        "entries/names.py",
        "character in _TURNING or unicodedata.category(character) in _ACTING",
        "character is None",
        NAMES,
    ),
    Device(
        "names: a bound",
        "A name is no longer than what scripts pass on in their time",
        "entries/names.py",
        "elif size_bytes > DECLARED_MAX_BYTES:",
        "elif size_bytes < 0:",
        BEAT_SCHEDULE,
    ),
    Device(
        "names: one for each entry",
        "Of two keys with the same text, the second does not replace the first",
        "beat/declared/beat_schedule.py",
        '    if name in others:  # such as 1 and "1"\n',
        "    if False:\n",
        BEAT_SCHEDULE,
    ),
    Device(
        "log: long arguments",
        "A long name does not crowd the reason out of a line",
        "log.py",
        "if len(text) > MESSAGE_MAX_CHARS and isinstance(record.args, tuple):",
        "if False:",
        PRINTABLE,
    ),
    Device(
        "deadline: the grace",
        "A crontab's slot beyond beat_cron_starting_deadline does not fire within the grace",
        "beat/declared/beat_schedule.py",
        "    if deadline_ms < policies.misfire_grace_ms:",
        "    if False:",
        DEADLINE,
    ),
    Device(
        "TLS: habeat's own options",
        "Certificates are checked unless the options say no, or they are the broker's",
        "config/redis_target.py",
        "    if not strict:\n        _as_kombu(options, address)\n",
        "    _as_kombu(options, address)\n",
        TARGET,
    ),
]
