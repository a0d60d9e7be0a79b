"""Preview, history, what tenants typed, and a Redis that is away."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import pytest
from celery import Celery

import habeat
from habeat.client import LedgerRecord
from habeat.contrib.django import celery_app as finding
from habeat.contrib.django.keys import key_of
from habeat.schedules import Schedule, register
from habeat.store.keys import Keys
from tests.integration.contrib.conftest import Browser, typed
from tests.integration.contrib.test_actions import log
from tests.integration.contrib.test_form import submitted
from tests.support.servers.redis_server import Server

pytestmark = pytest.mark.usefixtures("app")

BERLIN = ZoneInfo("Europe/Berlin")  # the project's TIME_ZONE


def previewed(admin: Browser, **fields: Any) -> dict[str, Any]:
    page = admin.post("_preview/", typed(**fields))
    assert page.status == 200
    found: dict[str, Any] = json.loads(page.html)
    return found


# -- preview --------------------------------------------------------------------------------------


def test_a_preview_shows_the_slots_that_the_entry_will_have(
    admin: Browser, client: habeat.Client
) -> None:
    fields = {"every": "1h", "jitter": "30s", "max_runs": "3"}
    shown = previewed(admin, **fields)
    admin.post("add/", typed(**fields))
    slots = client.preview("report")
    assert [slot["time"] for slot in shown["slots"]] == [
        f"{slot.nominal.astimezone(BERLIN):%a %Y-%m-%d %H:%M:%S %Z}" for slot in slots
    ]
    assert shown["words"] == client.get("report").schedule.describe()
    assert all("jitter (+" in slot["marks"] for slot in shown["slots"])


def test_a_preview_shows_clock_changes(admin: Browser) -> None:
    fields = {"kind": "cron", "cron": "30 2 * * *", "tz": "Europe/Berlin"}
    shown = previewed(admin, start="2030-03-30T12:00", **fields)
    assert shown["slots"][0] == {
        "time": "Sun 2030-03-31 03:00:00 CEST",
        "distance": shown["slots"][0]["distance"],
        "marks": "gap",
    }


def test_a_schedule_keeps_its_own_zone(admin: Browser) -> None:
    shown = previewed(admin, kind="cron", cron="0 8 * * *", tz="Asia/Tokyo")
    assert all(" 08:00:00 JST" in slot["time"] for slot in shown["slots"])
    shown = previewed(admin, kind="cron", cron="0 8 * * *", tz="UTC")
    assert all(" 08:00:00 UTC" in slot["time"] for slot in shown["slots"])


def test_a_preview_needs_no_other_field(admin: Browser) -> None:
    shown = previewed(admin, name="", task="", args="{")
    assert len(shown["slots"]) == 8


@pytest.mark.parametrize(
    ("fields", "field", "text"),
    [
        ({"every": ""}, "every", "missing"),
        ({"kind": "cron", "cron": "x"}, "cron", "invalid"),
        ({"kind": "nonsense"}, "kind", "valid choice"),
        ({"start": "never"}, "start", "valid date"),
        ({"start": "2030-01-02T00:00", "end": "2030-01-01T00:00"}, "end", "after the start"),
        ({"kind": "rrule", "rrule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
          "dtstart": "2026-01-01T00:00"}, "rrule", "invalid"),
    ],
)  # fmt: skip
def test_a_preview_says_what_is_wrong(
    admin: Browser, fields: dict[str, str], field: str, text: str
) -> None:
    shown = previewed(admin, **fields)
    assert text in shown["errors"][field]


@pytest.mark.parametrize("field", ["start", "at"])
def test_a_time_without_a_counterpart_in_utc_is_refused(admin: Browser, field: str) -> None:
    data = typed(kind="once", **{"at": "2030-01-01T00:00", field: "0001-01-01T00:00"})
    assert (
        "Enter a valid date/time." in admin.post("_preview/", data).response.json()["errors"][field]
    )


def test_a_schedule_without_slots(admin: Browser) -> None:
    shown = previewed(admin, kind="once", at="2020-01-01T00:00")
    assert (shown["slots"], shown["none"]) == ([], "It has no slots from now on.")


# -- history --------------------------------------------------------------------------------------


@pytest.fixture
def fired(client: habeat.Client, monkeypatch: pytest.MonkeyPatch) -> list[LedgerRecord]:
    """Two outcomes in the ledger, as a leader writes them."""
    client.add("a/b", "proj.report", 60)
    now = client.server_time()
    records = [
        LedgerRecord("a/b", now, now, 1, "late", "", now, 2_500, 2, 1, "2-0", "task-2"),
        LedgerRecord("a/b", now, now, 7, "skipped", "paused", now, None, 0, 1, "1-0", None),
    ]

    def history(
        self: habeat.Client, name: str, limit: int = 100, *, outcome: Any = (), **more: Any
    ) -> list[LedgerRecord]:
        return [each for each in records if not outcome or each.outcome in outcome][:limit]

    monkeypatch.setattr(habeat.Client, "history", history)
    return records


@pytest.mark.usefixtures("fired")
def test_the_history_says_what_became_of_each_slot(admin: Browser) -> None:
    text = admin.get("a_2Fb/history/").text
    assert "late 2.5 s 2 task-2 more than 1 s after it was due; attempt 2" in text
    assert "skipped 0 the entry was paused; 7 slots" in text
    only = admin.get("a_2Fb/history/", outcome="skipped").text
    assert "task-2" not in only
    assert "the entry was paused" in only
    assert "task-2" in admin.get("a_2Fb/history/", outcome="nonsense").text


@pytest.mark.usefixtures("fired")
def test_the_history_links_to_the_results_of_tasks(
    admin: Browser, user: Callable[..., Browser]
) -> None:
    pytest.importorskip("django_celery_results")
    from django_celery_results.models import TaskResult

    result = TaskResult.objects.create(task_id="task-2", status="FAILURE")
    page = admin.get("a_2Fb/history/")
    link = f'<a href="/admin/django_celery_results/taskresult/{result.pk}/change/">task-2</a>'
    assert link in page.html
    assert "FAILURE" in page.text
    assert link not in user("view").get("a_2Fb/history/").html
    assert link in user("view", also="view_taskresult").get("a_2Fb/history/").html


@pytest.mark.usefixtures("fired")
def test_results_whose_table_is_missing_are_left_out(
    admin: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("django_celery_results")
    from django_celery_results.models import TaskResult

    monkeypatch.setattr(TaskResult._meta, "db_table", "not_migrated")
    page = admin.get("a_2Fb/history/")
    assert page.status == 200
    assert "task-2" in page.text


def test_more_records_than_a_page_has(
    admin: Browser, client: habeat.Client, fired: list[LedgerRecord]
) -> None:
    fired[:] = fired[:1] * 150
    page = admin.get("a_2Fb/history/")
    assert page.html.count("task-2") == 100
    assert "Older records" in page.text
    everything = admin.get("a_2Fb/history/", all="1")
    assert everything.html.count("task-2") == 150
    assert "Older records" not in everything.text


@pytest.mark.usefixtures("fired")
def test_the_history_of_a_removed_entry_is_still_shown(
    admin: Browser, client: habeat.Client
) -> None:
    client.remove("a/b")
    assert "task-2" in admin.get("a_2Fb/history/").text


def test_an_entry_without_records_and_none_at_all(admin: Browser, client: habeat.Client) -> None:
    client.add("a", "t", 60)
    assert "Nothing was due yet" in admin.get("a/history/").text
    assert admin.get("gone/history/").response["Location"] == "/admin/habeat/entry/"


# -- what tenants typed ---------------------------------------------------------------------------

EVIL = "<script>alert('x')</script>\"'&\u202e"


def test_everything_that_tenants_typed_is_escaped(admin: Browser, client: habeat.Client) -> None:
    name = "<b>\"'&x"
    client.add(
        name,
        "<i>task\"'",
        60,
        args=[EVIL],
        kwargs={EVIL: EVIL},
        options={"queue": "<u>\"'", "headers": {"x": EVIL}},
        tags=["<s>\"'"],
        description=EVIL,
    )
    client.pause(name, EVIL)
    key = key_of(name)
    pages = [
        admin.get(),
        admin.get(q='"><script>', tag='"><script>'),
        admin.get(f"{key}/change/"),
        admin.get(f"{key}/history/"),
        admin.get(f"{key}/delete/"),
        admin.post("_action/pause/", {"key": key, "back": '"><script>'}),
        admin.post(f"{key}/change/", {**submitted(admin.get(f"{key}/change/")), "rev": "0"}),
        admin.act("pause", key, reason=EVIL),
        admin.index(),
    ]
    for page in pages:
        assert page.status in (200, 409)
        for raw in ("<script>", '<b>"', "<i>task", '<u>"', '<s>"'):
            assert raw not in page.html
        # The description can be edited, so it is there as it was typed.
        assert page.html.count("\u202e") == page.html.count('name="description"')
    listed = pages[0].html
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;" in listed
    assert "\\u202e" in listed


def test_text_that_no_page_can_contain_is_shown_all_the_same(
    admin: Browser, client: habeat.Client, valkey: Server
) -> None:
    client.add("a", "t-x", 60, description="d-x", tags=["g-x"], args=["a-x"])
    entries = Keys("habeat:proj").entries
    raw = valkey.admin.hget(entries, "a")
    valkey.admin.hset(entries, "a", raw.replace(b"-x", rb"\ud800"))
    for place in ("", "a/change/", "a/history/"):
        assert admin.get(place).status == 200
    data = submitted(admin.get("a/change/"), max_runs="3")
    assert data["args"] == '["a\\ud800"]'
    page = admin.post("a/change/", data)
    assert page.status == 200


@register
@dataclass(frozen=True, repr=False)
class Rude(Schedule):
    """A class of the project whose methods all fail."""

    kind: ClassVar[str] = "rude-of-admin"

    def next_after_ms(self, after_ms: int) -> int | None:
        return self._fail()

    def describe(self) -> str:
        return str(self._fail())

    def _fail(self) -> int | None:
        raise RuntimeError("the calendar's server is down")


def test_a_schedule_that_fails_is_shown_and_can_be_replaced(
    admin: Browser, client: habeat.Client, valkey: Server
) -> None:
    client.add("a", "t", 60)
    client.add("b", "t", 60)
    entries = Keys("habeat:proj").entries
    definition = json.loads(valkey.admin.hget(entries, "a"))
    definition["schedule"] = {"kind": Rude.kind}
    valkey.admin.hset(entries, "a", json.dumps(definition))
    assert "Rude" in admin.get().text
    page = admin.get("a/change/")
    assert page.status == 200
    assert "unknown: the calendar's server is down" in page.text
    admin.post("a/change/", submitted(page, description="still the same"))
    assert client.get("a").schedule == Rude()
    admin.post("a/change/", submitted(admin.get("a/change/"), kind="interval", every="5m"))
    assert client.get("a").schedule.describe().startswith("every 5 minutes")


def test_a_query_that_no_entry_can_match_is_named(admin: Browser, client: habeat.Client) -> None:
    client.add("a", "t", 60)
    page = admin.get(tag="\u202e")
    assert page.status == 200
    assert "invalid tags" in page.text
    for after in ("_x", "_xff", "_xzz", "\x00", "%"):
        assert admin.get(after=after, q="\x00").status == 200


def test_nothing_is_inline(admin: Browser, client: habeat.Client) -> None:
    """A site with a strict Content-Security-Policy runs no inline script and no inline style."""
    client.add("a", "t", 60)
    for place in ("", "add/", "a/change/", "a/history/", "a/delete/"):
        html = admin.get(place).html
        own = html.partition('id="content"')[2]
        assert "<script" not in own
        assert "<style" not in html
        assert " style=" not in own
        assert not re.search(r"\son[a-z]+=", own)
        assert not re.search(r"<script(?![^>]*\ssrc=)", html)


# -- a Redis that is away, and settings that are wrong -------------------------------------------


@pytest.fixture
def away(app: Celery, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing listens at the address of the project's Redis, and the timeout is short."""
    monkeypatch.setattr(finding, "TIMEOUT_S", 0.2)
    app.conf.habeat_redis_url = "redis://:s3cret@127.0.0.1:1/0"
    finding._client_of.cache_clear()
    yield
    finding._client_of.cache_clear()


@pytest.mark.usefixtures("away")
def test_without_redis_each_page_says_so(admin: Browser) -> None:
    visits = [
        admin.get(),
        admin.get("a/change/"),
        admin.post("a/change/", typed()),
        admin.get("a/history/"),
        admin.act("pause", "a"),
        admin.act("disable", "a"),
        admin.act("trigger", "a", request_id="1"),
    ]
    for page in visits:
        assert page.status == 503
        assert "127.0.0.1:1" in page.text
        assert "s3cret" not in page.html
    asked = [admin.get("add/"), admin.get("a/delete/"), admin.post("_action/pause/", {"key": "a"})]
    assert [page.status for page in asked] == [200, 200, 200], "they need no Redis"


def said_of_redis(error: str) -> bool:
    """On a busy machine, the short time may be over before the first refusal."""
    return "did not answer" in error or "did not finish within" in error


@pytest.mark.usefixtures("away")
def test_without_redis_nothing_typed_is_lost(admin: Browser) -> None:
    page = admin.post("add/", typed(description="typed for an hour"))
    assert page.status == 200
    assert any(said_of_redis(error) for error in page.errors())
    assert "typed for an hour" in page.html
    page = admin.post("a_2Fb/change/", typed(description="typed for an hour", rev="7"))
    assert page.status == 503
    assert any(said_of_redis(error) for error in page.errors())
    again = submitted(page)
    assert (again["description"], again["name"], again["rev"]) == ("typed for an hour", "a/b", "7")
    assert 'action=""' in page.html
    assert "unknown whether this took effect" in log()[0][2]
    assert previewed(admin)["slots"], "a preview needs no Redis"


def test_settings_that_are_wrong_are_named(admin: Browser, app: Celery) -> None:
    from django.test import override_settings

    finding._client_of.cache_clear()
    app.conf.habeat_lease_ttl = "soon"
    page = admin.get()
    assert page.status == 503
    assert "habeat_lease_ttl" in page.text
    with override_settings(HABEAT_CELERY_APP="no.such.module"):
        page = admin.get()
        assert page.status == 503
        assert "HABEAT_CELERY_APP" in page.text
        assert admin.post("_preview/", typed()).status == 503
        assert "HABEAT_CELERY_APP" in admin.get("add/").text
    finding._client_of.cache_clear()
