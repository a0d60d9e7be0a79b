"""The devices of what tells people and programs: the log, signals, alarms, pings."""

from __future__ import annotations

from tests.verification.mutations.device import Device

RECEIVERS = "tests/unit/beat/test_receivers.py"
WATCH = "tests/unit/beat/test_event_watch.py"
PROMISES = "tests/unit/beat/test_promise_watch.py"
STORE = "tests/integration/test_promise_store.py"
EMPTIED = "tests/integration/test_emptied_redis.py"
FEED = "tests/integration/test_ledger_feed.py"
WEB = "tests/integration/test_webhook.py"
CONFIG = "tests/unit/test_config.py"
JSON_LOG = "tests/unit/beat/test_json_log.py"

ALL = [
    Device(
        "report: a receiver that raises",
        "A receiver that raises, or exits, does not end the thread that calls the others",
        "beat/events/receivers.py",
        "except BaseException as error:",
        "except ZeroDivisionError as error:",
        RECEIVERS,
    ),
    Device(
        "report: a receiver that hangs",
        "A receiver that hangs gets no more calls, and the others go on",
        "beat/events/receivers.py",
        "hanging = self._given_up()",
        "hanging = None",
        RECEIVERS,
    ),
    Device(
        "report: the queue of calls",
        "Receivers that are too slow do not fill the memory",
        "beat/events/receivers.py",
        "if receiver in self._hanging or not self.room:",
        "if receiver in self._hanging:",
        RECEIVERS,
    ),
    Device(
        "report: a damaged record",
        "A record that cannot be reported does not hold back the next ones",
        "beat/events/watch.py",
        "self._tried(record, now.cluster)",
        "self._report(record, now.cluster)",
        WATCH,
    ),
    Device(
        "report: only the leader",
        "Standbys do not report the slots that the leader reports",
        "beat/events/watch.py",
        "if not now.leads or not wanted:",
        "if not wanted:",
        WATCH,
    ),
    Device(
        "report: a position that is not one",
        "A damaged position in the ledger does not end all reports",
        "store/ledger_feed.py",
        "if found is None or int(found[1]) > now_ms:",
        "if found is None:",
        FEED,
    ),
    Device(
        "alarm: once for each slot",
        "Two replicas raise one alarm for a slot",
        "beat/events/promises.py",
        "if is_new or subject in self._uncertain:",
        "if True:",
        PROMISES,
    ),
    Device(
        "alarm: a lost reply",
        "An alarm is raised even if the reply that says it is new was lost",
        "beat/events/promises.py",
        "if is_new or subject in self._uncertain:",
        "if is_new:",
        PROMISES,
    ),
    Device(
        "alarm: never an older slot",
        "A slot raises one alarm, whichever replica finds it later",
        "store/promises.py",
        "gt=True, ch=True",
        "ch=True",
        STORE,
    ),
    Device(
        "alarm: the memory of alarms",
        "The memory of past alarms is bounded",
        "store/promises.py",
        "if client.zcard(keys.alarmed) > ALARMED_MAX:",
        "if False:",
        STORE,
    ),
    Device(
        "alarm: a word in the arguments",
        "A word in a task's arguments is not taken for a promise",
        "store/promises.py",
        'found = json.loads(raw).get("start_by_ms")',
        'found = json.loads(raw).get("start_by_ms", 7_000)',
        STORE,
    ),
    Device(
        "alarm: no made-up slot",
        "A record that is not about a slot raises no alarm",
        "beat/events/promises.py",
        "if each.count > 0",
        "if True",
        EMPTIED,
    ),
    Device(
        "alarm: sent meanwhile",
        "The next slot of an entry that is sent while it is read raises no alarm",
        "store/promises.py",
        "if each in still]",
        "]",
        STORE,
    ),
    Device(
        "alarm: lines in an outage",
        "An outage of all entries does not flood the log",
        "beat/events/promises.py",
        "if self._lines < LINES:",
        "if True:",
        PROMISES,
    ),
    Device(
        "web: an answer that was cut",
        "An answer that comes byte by byte is cut off, and does not count as a success",
        "beat/events/delivery.py",
        "if was_cut.is_set():",
        "if False:",
        WEB,
    ),
    Device(
        "web: redirects",
        "A redirect does not count as a success, and is not followed",
        "beat/events/delivery.py",
        "if not 200 <= status < 300:",
        "if not 200 <= status < 400:",
        WEB,
    ),
    Device(
        "web: the queue",
        "A service that hangs does not fill the memory",
        "beat/events/delivery.py",
        "if len(self._waiting) >= WAITING_MAX:",
        "if False:",
        WEB,
    ),
    Device(
        "web: secrets in the log",
        "The log shows no path, password or query of a URL",
        "config/web.py",
        "    __repr__ = __str__\n",
        "    def __repr__(self) -> str:\n        return self.url\n",
        CONFIG,
    ),
    Device(
        "web: secrets in errors",
        "An error about a setting shows no URL and no header",
        "config/setting.py",
        '("url", "options", "secret", "web", "headers", "pings")',
        '("url", "options", "secret")',
        CONFIG,
    ),
    Device(
        "log: JSON without lone surrogates",
        "A name that is not UTF-8 does not produce a line that readers of JSON refuse",
        "beat/json_log.py",
        'text.encode("utf-8", "backslashreplace").decode()',
        "text",
        JSON_LOG,
    ),
]
