"""Adding and changing entries in the admin."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from uuid import UUID

import pytest
from celery import Celery

import habeat
from habeat.contrib.django.keys import key_of
from habeat.core.entry import Entry
from habeat.schedules import Schedule
from habeat.store.keys import Keys
from tests.integration.contrib.conftest import Browser, Page, typed
from tests.support.servers.redis_server import Server

pytestmark = pytest.mark.usefixtures("app")

CONTROL = re.compile(
    r"<input(?P<input>[^>]*)>"
    r"|<textarea(?P<area>[^>]*)>\n?(?P<text>[^<]*)</textarea>"
    r"|<select(?P<select>[^>]*)>(?P<options>.*?)</select>",
    re.DOTALL,
)


def submitted(page: Page, **changes: Any) -> dict[str, Any]:
    """What a browser submits for this page's form with some fields changed."""
    form = page.html.partition('id="entry_form"')[2].partition("</form>")[0]
    data: dict[str, Any] = {}
    for found in CONTROL.finditer(form):
        attributes = found["input"] or found["area"] or found["select"] or ""
        name = re.search(r'name="([^"]*)"', attributes)
        if not name or " disabled" in attributes or 'type="submit"' in attributes:
            continue
        if found["text"] is not None:
            value: str | None = unescape(found["text"]).replace("\n", "\r\n")
        elif found["options"] is not None:
            chosen = re.search(r'<option value="([^"]*)" selected', found["options"])
            first = re.search(r'<option value="([^"]*)"', found["options"])
            value = unescape((chosen or first)[1]) if chosen or first else None
        elif 'type="checkbox"' in attributes:
            value = "on" if " checked" in attributes else None
        else:
            given = re.search(r'value="([^"]*)"', attributes)
            value = unescape(given[1]) if given else ""
        if value is not None:
            data[name[1]] = value
    return {key: value for key, value in {**data, **changes}.items() if value is not None}


def test_an_entry_is_added(admin: Browser, client: habeat.Client) -> None:
    page = admin.post(
        "add/",
        typed(
            args="[1, 2]",
            kwargs='{"to": "x"}',
            queue="mail",
            options='{"expires": 60}',
            tags="a\r\nb c",
            description="two\r\nlines",
            start="2030-01-01T08:00",
            max_runs="3",
            jitter="2s",
            misfire="all",
            misfire_grace="1m",
            misfire_pace="2.5",
            delivery="at_most_once",
        ),
    )
    assert "The entry 'report' was added." in page.text
    entry = client.get("report")
    assert entry.schedule.describe().startswith("every 5 minutes")
    assert (entry.args, entry.kwargs) == ((1, 2), {"to": "x"})
    assert entry.options == {"queue": "mail", "expires": 60}
    assert entry.tags == ("a", "b c")
    assert entry.description == "two\nlines"
    assert entry.start == datetime(2030, 1, 1, 7, tzinfo=UTC)  # the project is in Berlin
    assert (entry.max_runs, entry.jitter_ms) == (3, 2_000)
    assert (entry.misfire, entry.misfire_grace_ms, entry.misfire_pace) == ("all", 60_000, 2.5)
    assert entry.delivery == "at_most_once"
    assert entry.enabled


SCHEDULES: dict[str, tuple[dict[str, str], Schedule]] = {
    "interval": ({"every": "90s", "offset": "10s"}, habeat.every(90, 10)),
    "cron": (
        {"cron": "0 8 * * mon-fri", "tz": "Asia/Tokyo", "gap": "skip", "fold": "both"},
        habeat.cron("0 8 * * mon-fri", "Asia/Tokyo", "skip", "both"),
    ),
    "crontab": (
        {"minute": "0", "hour": "*/2"},
        habeat.crontab(minute="0", hour="*/2", tz="Europe/Berlin"),
    ),
    "rrule": (
        {"rrule": "FREQ=DAILY", "dtstart": "2030-01-01T09:00"},
        habeat.rrule("DTSTART:20300101T090000\nRRULE:FREQ=DAILY", tz="Europe/Berlin"),
    ),
    "once": (
        {"at": "2030-07-01T09:00:00"},
        habeat.once(datetime(2030, 7, 1, 7, tzinfo=UTC)),
    ),
    "solar": (
        {"event": "sunset", "lat": "52.5", "lon": "13.4"},
        habeat.solar("sunset", 52.5, 13.4),
    ),
}


@pytest.mark.parametrize(("kind", "given"), SCHEDULES.items())
def test_every_kind_of_schedule_is_added_and_shown_again(
    admin: Browser,
    client: habeat.Client,
    kind: str,
    given: tuple[dict[str, str], Schedule],
) -> None:
    fields, schedule = given
    page = admin.post("add/", typed(kind=kind, **{"every": "", **fields}))
    assert page.errors() == []
    stored = client.get("report")
    assert stored.schedule == schedule
    shown = admin.get("report/change/")
    data = submitted(shown)
    assert data["kind"] == kind
    assert "was changed" in admin.post("report/change/", data).text
    assert client.get("report").rev == stored.rev, "saving an unchanged form writes nothing"


WRONG: dict[str, tuple[dict[str, str], str]] = {
    "a name": ({"name": ""}, "This field is required."),
    "a period": ({"every": "soon"}, "Expected a span"),
    "no period": ({"every": ""}, "the period is missing"),
    "a cron": ({"kind": "cron", "cron": "61 * * * *"}, "invalid minute"),
    "a zone": ({"kind": "cron", "cron": "* * * * *", "tz": "Mars"}, "Mars"),
    "no time": ({"kind": "once"}, "the time is missing"),
    "a past time": ({"kind": "once", "at": "2020-01-01T00:00"}, "one with a slot in the future"),
    "a time that the clocks skip": (
        {"kind": "once", "at": "2030-03-31T02:30"},
        "be interpreted in time zone Europe/Berlin",
    ),
    "arguments": ({"args": '{"a": 1}'}, "Expected a JSON list"),
    "no JSON": ({"kwargs": "{"}, "Enter a valid JSON."),
    "deep JSON": ({"args": "[" * 100_000}, "Expected a JSON list"),
    "a long number": ({"args": f"[{'1' * 5_000}]"}, "Expected a JSON list"),
    "an option": ({"options": '{"expire": 1}'}, "did you mean 'expires'?"),
    "an end": ({"start": "2030-01-01T00:00", "end": "2029-01-01T00:00"}, "after the start"),
    "a pace": ({"misfire_pace": "0"}, "more than 0"),
    "a latitude": ({"kind": "solar", "event": "sunset", "lat": "100", "lon": "0"}, "-90 to 90"),
    "no recurrence": ({"kind": "rrule", "rrule": "FREQ=DAILY"}, "dtstart"),
}


@pytest.mark.parametrize(("given", "text"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_at_its_field_and_nothing_typed_is_lost(
    admin: Browser, client: habeat.Client, given: dict[str, str], text: str
) -> None:
    data = typed(description="typed", **given) if "name" not in given else {**typed(), **given}
    page = admin.post("add/", data)
    assert any(text in error for error in page.errors()), page.errors()
    assert list(client.list()) == []
    assert 'value="proj.report"' in page.html


def test_a_name_that_is_taken(admin: Browser, client: habeat.Client) -> None:
    client.add("report", "proj.other", 60)
    page = admin.post("add/", typed())
    assert any("already exists" in error for error in page.errors())
    assert client.get("report").task == "proj.other"


def test_only_what_was_changed_is_written(admin: Browser, client: habeat.Client) -> None:
    """An entry keeps its rhythm, and arguments that a form cannot show stay."""
    uuid = UUID(int=7)
    added = client.add(
        "report", "proj.report", 300, args=[uuid], tags=["a", "b"], description="a\nb"
    )
    page = admin.get("report/change/")
    assert str(uuid) in page.html
    assert "can only be changed by code" in page.text
    admin.post("report/change/", submitted(page, tags="c", args="[1]"))
    changed = client.get("report")
    assert changed.tags == ("c",)
    assert changed.args == (uuid,)
    assert changed.description == "a\nb"
    assert changed.state == added.state
    assert changed.rev == added.rev + 1


def test_a_removed_value_is_removed(admin: Browser, client: habeat.Client) -> None:
    client.add(
        "report",
        "proj.report",
        300,
        options={"queue": "mail", "expires": 60},
        max_runs=3,
        misfire="all",
        misfire_grace=0,
        description="x",
    )
    page = admin.get("report/change/")
    data = submitted(page, queue="", max_runs="", misfire="", misfire_grace="", description="")
    assert submitted(page)["misfire_grace"] == "0s"
    admin.post("report/change/", {**data, "enabled": ""})
    entry = client.get("report")
    assert entry.options == {"expires": 60}
    assert (entry.max_runs, entry.misfire, entry.misfire_grace_ms) == (None, None, None)
    assert entry.description == ""
    assert not entry.enabled


def test_a_signature_is_kept(admin: Browser, client: habeat.Client, app: Celery) -> None:
    client.add("report", app.signature("proj.report", args=[1]), 300)
    page = admin.get("report/change/")
    assert "A signature" in page.text
    admin.post("report/change/", submitted(page, description="new", task="proj.other"))
    entry = client.get("report")
    assert entry.description == "new"
    assert entry.task_name == "proj.report"
    assert isinstance(entry.task, dict)


def test_saving_can_continue(admin: Browser) -> None:
    page = admin.post("add/", typed(name="a/b", _continue="1"), follow=False)
    assert page.response["Location"] == "/admin/habeat/entry/a_2Fb/change/"


# -- two people at once ---------------------------------------------------------------------------


def test_what_others_changed_meanwhile_is_shown_and_kept(
    admin: Browser, client: habeat.Client
) -> None:
    client.add("report", "proj.report", 300, description="old", tags=["old"])
    page = admin.get("report/change/")
    client.update("report", description="theirs", max_runs=7)
    conflict = admin.post("report/change/", submitted(page, description="mine", tags="mine"))
    assert conflict.status == 409
    assert client.get("report").description == "theirs", "nothing is written over it"
    assert "was changed while you edited it" in conflict.text
    rows = re.findall(
        r'<tr><th scope="row">([^<]*)</th><td>([^<]*)</td><td>([^<]*)</td><td>(\w+)', conflict.html
    )
    assert rows == [("Description", "theirs", "mine", "yours"), ("Maximum runs", "7", "", "as")]
    again = submitted(conflict)
    assert (again["description"], again["tags"], again["max_runs"]) == ("mine", "mine", "7")
    assert "was changed" in admin.post("report/change/", again).text
    entry = client.get("report")
    assert (entry.description, entry.tags, entry.max_runs) == ("mine", ("mine",), 7)


def test_a_change_between_the_check_and_the_write_is_a_conflict_too(
    admin: Browser, client: habeat.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.add("report", "proj.report", 300)
    page = admin.get("report/change/")
    real = habeat.Client.update

    def late(self: habeat.Client, name: str, **changes: Any) -> Entry:
        real(client, name, description="theirs")
        return real(self, name, **changes)

    monkeypatch.setattr(habeat.Client, "update", late)
    conflict = admin.post("report/change/", submitted(page, tags="mine"))
    assert conflict.status == 409
    monkeypatch.undo()
    admin.post("report/change/", submitted(conflict))
    entry = client.get("report")
    assert (entry.description, entry.tags) == ("theirs", ("mine",))


def test_an_entry_that_was_removed_meanwhile_can_be_added_again(
    admin: Browser, client: habeat.Client
) -> None:
    client.add("a/b", "proj.report", 300)
    page = admin.get("a_2Fb/change/")
    client.remove("a/b")
    gone = admin.post("a_2Fb/change/", submitted(page, description="mine"))
    assert gone.status == 409
    assert "was removed while you edited it" in gone.text
    assert 'action="/admin/habeat/entry/add/"' in gone.html
    admin.post("add/", submitted(gone))
    assert client.get("a/b").description == "mine"


def test_a_form_without_its_digests_is_a_conflict_in_every_field(
    admin: Browser, client: habeat.Client
) -> None:
    client.add("report", "proj.report", 300, description="theirs")
    data = submitted(admin.get("report/change/"), description="mine")
    for seen in ("", "[", "[]", "{}"):
        conflict = admin.post("report/change/", {**data, "rev": "0", "seen": seen})
        assert conflict.status == 409
        assert submitted(conflict)["description"] == "mine"


# -- what the form cannot express -----------------------------------------------------------------


def test_an_unreadable_entry_is_repaired(
    admin: Browser, client: habeat.Client, valkey: Server
) -> None:
    client.add("report", "proj.report", 300)
    entries = Keys("habeat:proj").entries
    raw = valkey.admin.hget(entries, "report")
    broken = raw.replace(b'"every_ms": 300000', b'"every_ms": -1')
    assert broken != raw
    valkey.admin.hset(entries, "report", broken)
    page = admin.get("report/change/")
    assert page.status == 200
    assert "quarantined" in page.text
    assert submitted(page)["kind"] == "kept"
    fixed = admin.post("report/change/", submitted(page, kind="interval", every="10m"))
    assert "was changed" in fixed.text, fixed.text
    assert client.get("report").schedule.describe().startswith("every 10 minutes")


def test_the_page_of_an_entry_says_what_it_does_next(admin: Browser, client: habeat.Client) -> None:
    client.add("report", "proj.report", habeat.cron("0 8 * * *"), max_runs=2)
    text = admin.get("report/change/").text
    slot = client.preview("report", 1)[0].nominal
    assert f"{slot:%a %Y-%m-%d} 08:00:00 {slot:%Z}" in text
    assert "0 runs of 2, 2 left" in text


def test_an_entry_that_does_not_exist(admin: Browser) -> None:
    page = admin.get("gone/change/")
    assert page.response["Location"] == "/admin/habeat/entry/"
    assert "no entry named 'gone'" in admin.get().text


def test_times_are_in_the_current_zone_also_without_use_tz(
    admin: Browser, client: habeat.Client
) -> None:
    from django.test import override_settings

    with override_settings(USE_TZ=False):
        admin.post("add/", typed(start="2030-07-01T09:00"))
        assert client.get("report").start == datetime(2030, 7, 1, 7, tzinfo=UTC)
        assert submitted(admin.get("report/change/"))["start"] == "2030-07-01T09:00:00"
        later = client.server_time() + timedelta(days=1)
        client.pause("report", until=later)
        assert "Paused until" in admin.get("report/change/").text


def test_a_key_is_quoted_in_links(admin: Browser, client: habeat.Client) -> None:
    client.add("a?b#c", "proj.report", 300)
    page = admin.get(f"{key_of('a?b#c')}/change/")
    assert f"/admin/habeat/entry/{key_of('a?b#c')}/history/" in page.html
