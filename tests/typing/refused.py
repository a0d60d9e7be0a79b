"""What mypy must find. Never run; `# E:` says which error, and a part of its message."""

from __future__ import annotations

from typing import Any

import habeat
from habeat import client as api


def misspelt_values(client: habeat.Client) -> None:
    client.add("a", "t", 60, misfire="lastest")  # E: arg-type "misfire" to "add"
    client.add("a", "t", 60, delivery="exactly_once")  # E: arg-type "delivery" to "add"
    client.update("a", misfire="lastest")  # E: arg-type "misfire" to "update"
    client.update("a", delivery="at_most")  # E: arg-type "delivery" to "update"
    client.list(state="active ")  # E: arg-type "state" to "list"
    client.history(outcome="sended")  # E: arg-type "outcome" to "history"
    client.follow(outcome=["sent", "failde"])  # E: list-item failde
    client.list(owner="me")  # E: arg-type "owner" to "list"
    client.resume("a", from_="then")  # E: arg-type "from_" to "resume"
    habeat.every(60, align="never")  # E: arg-type "align" to "every"
    habeat.cron("* * * * *", gap="jump")  # E: arg-type "gap" to "cron"
    habeat.crontab(fold="twice")  # E: arg-type "fold" to "crontab"


def unknown_fields(client: habeat.Client) -> None:
    client.add("a", "t", 60, tag=["x"])  # E: call-arg "tag" for "add"
    client.update("a", tag=["x"])  # E: call-arg "tag" for "update"
    client.update("a", name="b")  # E: misc "name"
    client.update("a", replace=True)  # E: call-arg "replace" for "update"
    changes: api.EntryChanges = {"tag": ["x"]}  # E: typeddict-unknown-key "tag"
    client.update("a", **changes)
    typo: api.EntryArguments
    typo = {"name": "a", "task": "t", "schedule": 5, "tag": 1}  # E: typeddict-unknown-key "tag"
    short: api.EntryArguments = {"name": "a", "task": "t"}  # E: typeddict-item "schedule"
    client.add_many([typo, short])
    habeat.Guard(task=["t"])  # E: call-arg "task" for "Guard"


def wrong_types(client: habeat.Client, text: str) -> None:
    client.add("a", "t", "* * * * *")  # E: arg-type Argument 3 to "add"
    client.add("a", "t", 60, misfire=text)  # E: arg-type "misfire" to "add"
    client.add("a", "t", 60, start="2026-01-01")  # E: arg-type "start" to "add"
    client.sync([], tag=["t"])  # E: arg-type "tag" to "sync"
    client.sync([])  # E: call-arg "tag"
    client.update("a", enabled="no")  # E: arg-type "enabled" to "update"
    client.update("a", rev="3")  # E: arg-type "rev" to "update"
    client.backfill("a", 0, 1)  # E: arg-type Argument 2 # E: arg-type Argument 3
    habeat.once("2026-01-01")  # E: arg-type Argument 1 to "once"


def definitions_do_not_change(client: habeat.Client) -> None:
    client.get("a").rev = 2  # E: misc "rev"
    client.get("a").start = None  # E: misc "start"
    client.status().leader = None  # E: misc "leader"


def a_condition_is_one_of_five_words(client: habeat.Client) -> bool:
    return client.get("a").condition == "activ"  # E: comparison-overlap Non-overlapping


def unknown_names(app: Any) -> None:
    habeat.Beat(app)  # E: attr-defined "Beat"
    habeat.Client(app).fire("a")  # E: attr-defined "fire"


async def the_same_mistakes_with_await(client: habeat.AsyncClient) -> None:
    await client.add("a", "t", 60, misfire="lastest")  # E: arg-type "misfire"
    await client.update("a", delivery="at_most")  # E: arg-type "delivery"
    await client.update("a", tag=["x"])  # E: call-arg "tag"
    client.list(state="active ")  # E: arg-type "state"
    print(client.get("a").rev)  # E: attr-defined "rev"
    for entry in client.list():  # E: attr-defined "__iter__"
        print(entry)
