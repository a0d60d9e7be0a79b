"""The devices that keep names from forging, and the meaning of Celery's settings."""

from __future__ import annotations

from tests.verification.mutations.device import SCRIPTS, Device

COMMANDS = "tests/integration/test_cli.py"
DEAD = "tests/integration/test_dead_letters.py"
NAMES = "tests/integration/test_names.py"
BEAT_SCHEDULE = "tests/unit/beat/test_beat_schedule.py"
PRINTABLE = "tests/unit/test_printable.py"
DEADLINE = "tests/unit/beat/test_cron_starting_deadline.py"
CREDENTIALS = "tests/integration/test_credentials.py"
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
        "The API refuses names that control a terminal or reverse the reading order",
        "entries/names.py",
        "not text.isprintable() and any(map(_is_deceiving, text))",
        "False",
        NAMES,
    ),
    Device(
        "names: in a shell",
        "Completion offers no name that would make a shell run something",
        "cli/completion.py",
        "return shlex.quote(name) == name and not",
        "return not",
        COMMANDS,
    ),
    Device(
        "dead letters: an empty id",
        "An empty id does not stand for all records",
        "client/dead_letters.py",
        "not (isinstance(identity, str) and identity)",
        "not isinstance(identity, str)",
        DEAD,
    ),
    Device(
        "commands: all entries",
        "On a terminal, no command pauses or triggers all entries without a question",
        "cli/choosing.py",
        'if yes or not given["every"] or not on_a_terminal():',
        "if True:",
        COMMANDS,
    ),
    Device(
        "names: a bound",
        "A name is not longer than scripts can handle in their time",
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
        "credentials: before the cut",
        "A password that expires never looks like a crash, because connections are replaced",
        "store/pubsub.py",
        "        if generation == self._generation or self._now_ms() < self._renew_at_ms:\n",
        "        if generation >= 0:\n",
        CREDENTIALS,
    ),
    Device(
        "credentials: first the new one",
        "A replica has a subscriber at all times while its connection is replaced",
        "store/pubsub.py",
        "            self._pubsub = None if old is None else self._subscribed()\n",
        "            self.resubscribe()\n            self._pubsub = self._subscribed()\n",
        CREDENTIALS,
    ),
    Device(
        "credentials: commands too",
        "Connections for commands log in again when a token changes",
        "store/pubsub.py",
        "        self._connections.drop_idle()\n",
        "",
        CREDENTIALS,
    ),
    Device(
        "credentials: in a thread",
        "A slow credential provider does not hold up the loop",
        "store/credentials.py",
        'threading.Thread(target=ask, name="habeat credentials", daemon=True).start()',
        "ask()",
        CREDENTIALS,
    ),
    Device(
        "credentials: not quoted",
        "An error of a credential provider, which may contain a token, is not quoted",
        "store/credentials.py",
        'f"the credential provider failed with {name}"',
        'f"the credential provider failed with {name}: {error}"',
        CREDENTIALS,
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
