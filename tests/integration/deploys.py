"""A deploy that does everything that a deploy can do to an entry: the code before and after it.

Shared by a fast test, which reconciles in this process, and by one with real beats. `stage` does
what people and accidents do in between, and `EXPECTED` is what a plan has to say about each entry.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from habeat.client import Client

#: Sources of expressions, with `crontab` and `habeat`. No entry is due within the test.
_FAR = "crontab(minute=0, hour=0, day_of_month=1, month_of_year=1)"
OTHER = "crontab(minute=30, hour=0, day_of_month=1, month_of_year=1)"


def _entry(schedule: str = _FAR, **more: str) -> str:
    fields = {"task": "'proj.work'", "schedule": schedule, **more}
    return "{" + ", ".join(f"{name!r}: {source}" for name, source in fields.items()) + "}"


_PLAIN = _entry()

#: Name: the code before, the code after (None: not declared), and what a plan says.
KINDS: Mapping[str, tuple[str | None, str | None, str]] = {
    "same": (_PLAIN, _PLAIN, "same"),
    "same-paused": (_PLAIN, _PLAIN, "same"),
    "added": (None, _PLAIN, "add"),
    "added-disabled": (None, _entry(enabled="False"), "add"),
    "added-interval": (None, _entry("86_400.0"), "add"),
    "left-behind": (_PLAIN, _PLAIN, "take over"),
    "schedule": (_PLAIN, _entry(OTHER), "change"),
    "to-interval": (_PLAIN, _entry("86_400.0"), "change"),
    "period": (_entry("86_400.0"), _entry("43_200.0"), "change"),
    "zone": (
        _entry("habeat.cron('0 0 1 1 *', tz='UTC')"),
        _entry("habeat.cron('0 0 1 1 *', tz='Asia/Tokyo')"),
        "change",
    ),
    "args": (_entry(args="(1,)"), _entry(args="(2,)"), "change"),
    "kwargs-paused": (_PLAIN, _entry(kwargs="{'token': 's3cret'}"), "change"),
    "schedule-paused": (_PLAIN, _entry(OTHER), "change"),
    "queue": (_PLAIN, _entry(options="{'queue': 'other'}"), "change"),
    "jitter": (_PLAIN, _entry(jitter="5"), "change"),
    "policy": (_PLAIN, _entry(misfire="'skip'"), "change"),
    "disabled": (_PLAIN, _entry(enabled="False"), "change"),
    "enabled": (_entry(enabled="False"), _PLAIN, "change"),
    "gone": (_PLAIN, None, "prune"),
    "gone-paused": (_PLAIN, None, "prune"),
    "gone-disabled": (_entry(enabled="False"), None, "prune"),
    "gone-unreadable": (_PLAIN, None, "unreadable"),
    "unreadable": (_PLAIN, _entry(OTHER), "unreadable"),
    "clash": (None, _PLAIN, "clash"),
    "broken": (None, _entry("'nonsense'"), "broken"),
    "became-broken": (_PLAIN, _entry("'nonsense'"), "prune"),
}
EXPECTED = {name: what for name, (_, _, what) in KINDS.items()}


def source(side: int) -> str:
    """The source of the beat_schedule before (0) or after (1) the deploy."""
    found = {name: sides[side] for name, sides in KINDS.items()}
    rows = [f"{name!r}: {entry}" for name, entry in found.items() if entry is not None]
    return "{" + ", ".join(rows) + "}"


def stage(client: Client, admin: Any, base: str, *, losing: bool = True) -> None:
    """What happens to the entries of the old code before the deploy.

    `losing` a definition makes the new leader seed twice, which takes it another 15 seconds.
    """
    for name in ("same-paused", "kwargs-paused", "schedule-paused", "gone-paused"):
        client.pause(name, "by hand")
    client.add("clash", "proj.work", 86_400)
    for name in ("unreadable", "gone-unreadable"):
        admin.hset(f"{base}entries", name, b'{"v": 1, "task": 5}')
    if losing:
        admin.hdel(f"{base}entries", "left-behind")


def definitions(admin: Any, base: str) -> dict[str, dict[str, Any]]:
    """The stored definitions, without what habeat counts itself."""
    found = {}
    for name, raw in admin.hgetall(f"{base}entries").items():
        data = json.loads(raw)
        kept = ("rev", "generation", "created_ms")
        found[name.decode()] = {key: value for key, value in data.items() if key not in kept}
    return found


def agree(
    plan: Mapping[str, Any],
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    records: Mapping[str, Any],
) -> list[str]:
    """Where a plan and what then happened disagree.

    `before` and `after` are the definitions, `records` the change log's records of the deploy, by
    name: (act, fields).
    """
    wrong = []
    planned = {each["name"]: each for each in plan["entries"]}
    for name in sorted({*KINDS, *before, *after}):
        entry = planned.get(name, {"what": "same", "fields": {}})
        act = {"add": "added", "take over": "added", "change": "changed", "prune": "removed"}.get(
            entry["what"]
        )
        happened, fields = records.get(name, (None, {}))
        if act != happened:
            wrong.append(f"{name}: plan says {entry['what']}, but it was {happened}")
        if dict(entry["fields"]) != dict(fields):
            wrong.append(f"{name}: plan says {entry['fields']}, but {fields} were changed")
        if act is None and before.get(name) != after.get(name):
            wrong.append(f"{name}: plan says {entry['what']}, but its definition was changed")
        if act == "removed" and name in after:
            wrong.append(f"{name}: plan says {entry['what']}, but it is there")
    return wrong
