"""`client.diff` and its command, over records that a shadow has left on a real server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from habeat.client import Client, Guard, comparing
from habeat.client.budget import Budget
from habeat.core.comparison import Kind, Message
from habeat.errors import EntryNotFound, NotAllowed, ValidationError
from habeat.store import shadow_log
from habeat.store.calling import Caller
from habeat.store.keys import Keys
from habeat.store.shadow_log import ShadowLog
from tests.integration.scripts.bench import One
from tests.integration.test_cli import Shell
from tests.support.servers.redis_server import Server

HOUR = 3_600_000
KIND = Kind("proj.tick", "celery", "digest")


class Records:
    """What a shadow of "proj" has recorded."""

    def __init__(self, server: Server) -> None:
        self.keys = Keys("habeat:proj-shadow")
        self.admin: Any = server.client()
        self.log = ShadowLog(Caller(One(server.client()), self.keys))
        self.now_ms = self.log.now_ms()

    def decided(self, entry: str, *ago_ms: int, kind: Kind = KIND) -> None:
        for ago in ago_ms:
            at_ms = self.now_ms - ago
            words = {"would": entry, "slot": at_ms, "task": kind.task, "queue": kind.queue}
            words |= {"arguments": kind.arguments, "period": None}
            self.admin.zadd(self.keys.shadow, {json.dumps(words): at_ms})

    def saw(self, *ago_ms: int, kind: Kind = KIND, sender: str = "gen1@web") -> None:
        found = [
            Message(f"{sender} {ago} {kind.task}", self.now_ms - ago, kind, sender)
            for ago in ago_ms
        ]
        self.log.saw(found, ("nonce", self.now_ms, self.now_ms))

    def watched(self, from_ago_ms: int, to_ago_ms: int = 0) -> None:
        period = (f"n{from_ago_ms}", self.now_ms - from_ago_ms, self.now_ms - to_ago_ms)
        self.log.saw([], period)


@pytest.fixture
def records(valkey: Server) -> Records:
    return Records(valkey)


def shown(shell: Shell, *argv: str, code: int = 0) -> str:
    done = shell(*argv)
    assert done.exit_code == code, done.output
    return str(done.stdout)


HOURS = [hour * HOUR for hour in range(1, 11)]


def differing(records: Records) -> None:
    """Ten slots: one is missing, one is shifted by 40 s, and one message has no slot."""
    records.watched(23 * HOUR)
    records.decided("report", *HOURS)
    records.saw(*HOURS[:3], *HOURS[4:6], HOURS[6] - 40_000, *HOURS[7:])
    records.saw(HOURS[8] + 2_000_000, kind=Kind("proj.only_there", "fast", ""))


def test_an_agreement(records: Records, client: Client, shell: Shell) -> None:
    records.watched(23 * HOUR)
    records.decided("report", *HOURS)
    records.saw(*(hour - 800 for hour in HOURS))
    diff = client.diff()
    assert diff.agrees
    assert diff.counts["same"] == 10
    assert diff.beats == ("gen1@web",)
    said = shown(shell, "diff")
    assert "10 same" in said
    assert "10 by gen1@web" in said
    assert "VERDICT" not in said
    assert "same" in shown(shell, "diff", "--all").split("VERDICT")[1]


def test_the_differences_are_listed_and_the_exit_status_is_1(
    records: Records, client: Client, shell: Shell
) -> None:
    differing(records)
    found = client.diff()
    assert {name: count for name, count in found.counts.items() if count} == {
        "same": 8,
        "shifted": 1,
        "missing": 1,
        "extra": 1,
    }
    said = shown(shell, "diff", code=1)
    assert "8 same, 1 shifted, 1 missing, 1 extra" in said
    assert "+40000 ms" in said
    assert "task proj.only_there, queue fast" in said
    assert "2 more are not shown" in shown(shell, "diff", "--limit", "1", code=1)
    shifted = client.diff(tolerance=timedelta(minutes=1))
    assert shifted.counts["same"] == 9


def test_as_json(records: Records, shell: Shell) -> None:
    differing(records)
    found = json.loads(shown(shell, "diff", "--json", code=1))
    assert not found["agrees"]
    assert found["counts"]["missing"] == 1
    assert [each["verdict"] for each in found["slots"]] == ["extra", "shifted", "missing"]
    assert found["slots"][1]["shift_ms"] == 40_000
    assert len(json.loads(shown(shell, "diff", "--json", "--all", code=1))["slots"]) == 11


def test_what_was_not_watched_is_unknown_and_said_to_be(records: Records, shell: Shell) -> None:
    records.watched(23 * HOUR, HOURS[5] + HOUR // 2)
    records.watched(HOURS[2] + HOUR // 2)
    records.decided("report", *HOURS)
    records.saw(*HOURS[:3], *HOURS[6:])
    said = shown(shell, "diff")
    assert "7 same, 3 unknown" in said
    assert "nothing is known about them" in said
    assert "for 3h" in said


@pytest.mark.parametrize(
    ("watched", "decided", "saw", "why"),
    [
        (False, False, False, "no shadow ran in that time"),
        (False, True, False, "no messages were watched in that time"),
        (True, True, False, "set task_send_sent_event = True for the other beat"),
        (True, False, True, "the shadow had nothing to send"),
    ],
)
def test_where_nothing_can_be_compared_nothing_agrees(
    records: Records,
    client: Client,
    shell: Shell,
    *,
    watched: bool,
    decided: bool,
    saw: bool,
    why: str,
) -> None:
    if decided:
        records.decided("report", *HOURS)
    if watched:
        records.watched(23 * HOUR)
    if saw:
        records.saw(*HOURS)
    diff = client.diff()
    assert not diff.agrees
    assert diff.counts["missing"] == 0
    assert why in " ".join(shown(shell, "diff", code=1).split())


def test_some_entries_only(records: Records, client: Client) -> None:
    differing(records)
    records.decided("other", *HOURS[:3], kind=Kind("proj.other", "celery", ""))
    assert client.diff("other").counts["missing"] == 3
    assert client.diff("report").counts["missing"] == 1
    assert client.diff("report").counts["extra"] == 0
    with pytest.raises(EntryNotFound):
        client.diff("unheard of")


def test_a_shorter_period(records: Records, client: Client) -> None:
    differing(records)
    since = client.server_time() - timedelta(hours=3, minutes=30)
    assert client.diff(since=since).counts["same"] == 3
    assert client.diff(since=timedelta(hours=3, minutes=30)).agrees


def test_a_period_in_the_past(records: Records, client: Client, shell: Shell) -> None:
    differing(records)
    found = client.diff(since=timedelta(hours=8, minutes=30), until=timedelta(hours=4, minutes=30))
    assert {name: count for name, count in found.counts.items() if count} == {
        "same": 3,
        "shifted": 1,
    }
    assert "2 same" in shown(shell, "diff", "--since", "3h", "--until", "30m")


@pytest.mark.parametrize(
    "given",
    [
        {"tolerance": timedelta(0)},
        {"tolerance": timedelta(days=1)},
        {"since": "yesterday"},
        {"until": timedelta(days=2)},
    ],
)
def test_invalid_arguments(records: Records, client: Client, given: Any) -> None:
    with pytest.raises(ValidationError):
        client.diff(**given)


def test_a_client_with_a_scope_sees_no_messages_of_others(shell: Shell) -> None:
    with Client(shell.app, guard=Guard(prefix="tenant:")) as client, pytest.raises(NotAllowed):
        client.diff()


def test_records_of_another_program_are_passed_over(records: Records, client: Client) -> None:
    differing(records)
    junk: Sequence[str] = ("x", "[]", "{}", '{"would": 1}', '{"would":"e","task":"","queue":""}')
    for number, each in enumerate(junk):
        records.admin.zadd(records.keys.shadow, {each: records.now_ms - HOUR - number})
    records.admin.hset(records.keys.watched, mapping={"x": "y", "1:a": "z", "": ""})
    assert client.diff().counts["same"] == 8


def test_more_records_than_a_page(
    records: Records, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow_log, "PAGE", 3)
    differing(records)
    records.decided("twin", *[HOURS[0]] * 1, kind=Kind("proj.twin", "celery", ""))
    for number in range(10):  # more than a page of one instant
        records.decided(f"at once {number}", HOURS[2], kind=Kind(f"t{number}", "celery", ""))
    assert client.diff().counts["missing"] == 12


def test_a_period_with_too_many_records_is_compared_in_part_and_says_so(
    records: Records, client: Client, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    records.watched(23 * HOUR)
    records.decided("report", *HOURS)
    records.saw(*HOURS)
    monkeypatch.setattr(comparing, "RECORDS_MOST", 10)
    found = client.diff()
    # 11 records are of 6 slots, and those of the last 90 minutes may have their message later.
    assert found.counts["same"] == 4
    assert found.end < client.server_time() - timedelta(hours=6)
    assert found.cut == "it has over 10 records"
    assert not found.agrees
    assert not found.differences
    said = " ".join(shown(shell, "diff", code=1).split())
    assert f"continue with --since {found.end:%Y-%m-%dT%H:%M:%SZ}" in said
    assert client.diff(since=timedelta(hours=4), until=timedelta(hours=1)).cut == ""
    monkeypatch.setattr(comparing, "RECORDS_MOST", 1)
    with pytest.raises(ValidationError, match="over 1 records"):
        client.diff(since=timedelta(hours=11))


def test_reading_leaves_time_to_compare(
    records: Records, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    records.watched(23 * HOUR)
    records.decided("report", *HOURS)
    records.saw(*HOURS)
    monkeypatch.setattr(comparing, "CHECK_EVERY", 1)
    monkeypatch.setattr(Budget, "is_past", lambda budget, share: share == 0.25)
    with pytest.raises(ValidationError, match="1 records took 25% of the time"):
        client.diff(since=timedelta(hours=11))


def test_trimming_keeps_the_newest(records: Records) -> None:
    records.decided("report", *HOURS)
    records.watched(10 * HOUR, 9 * HOUR)
    records.watched(2 * HOUR)
    while records.log.trim(5 * HOUR + HOUR // 2, 1_000):
        pass
    assert records.admin.zcard(records.keys.shadow) == 5
    assert len(records.log.periods()) == 1
    records.log.trim(24 * HOUR, 2)
    left = [each.at_ms for each in records.log.between(0, 10**14)]
    assert left == [records.now_ms - HOURS[1], records.now_ms - HOURS[0]]
