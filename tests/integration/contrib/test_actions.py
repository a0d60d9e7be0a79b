"""What the admin does to chosen entries, and what Django's log says of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from celery import Celery

import habeat
from habeat.core.circuit import Circuit
from habeat.core.entry import Entry
from habeat.errors import BulkInterrupted, EntryMoving, RedisUnavailable
from habeat.store.entries import EntryStore
from habeat.store.keys import Keys
from tests.integration.contrib.conftest import Browser, typed
from tests.integration.contrib.test_form import submitted
from tests.support.servers.redis_server import Server

pytestmark = pytest.mark.usefixtures("app")


def log() -> list[tuple[str, int, str]]:
    """Django's log, oldest first: the entry, the kind of change, and the message."""
    from django.contrib.admin.models import LogEntry

    rows = LogEntry.objects.order_by("pk")
    return [(row.object_repr, row.action_flag, row.get_change_message()) for row in rows]


ADDED, CHANGED, REMOVED = 1, 2, 3


def declared(client: habeat.Client, name: str) -> None:
    """An entry as beat stores it from beat_schedule."""
    from habeat.entries.changes import addition

    entry = Entry(name, "proj.code", habeat.every(60, 0), owner="config")

    def write(session: Any) -> None:
        snapshot = session.entries.read([name])
        session.entries.write([addition(snapshot.stored[0], entry, snapshot.now_ms).write])

    client._calls.read(write)


def test_a_pause_asks_for_its_reason(admin: Browser, client: habeat.Client) -> None:
    client.add("a", "t", 60)
    asked = admin.post("_action/pause/", {"key": "a"})
    assert "Reason" in asked.text
    assert client.get("a").condition == "active"
    done = admin.act("pause", "a", reason="maintenance", until="2030-01-01T08:00")
    assert "1 entry was paused." in done.text
    state = client.get("a").state
    assert state.paused == "maintenance"
    assert str(state.paused_until) == "2030-01-01 07:00:00+00:00"
    assert log() == [
        ("a", CHANGED, "Paused until 2030-01-01 07:00:00 UTC: maintenance."),
    ]


def test_many_at_once(admin: Browser, client: habeat.Client) -> None:
    for name in ("a", "b/c", "d"):
        client.add(name, "t", 60)
    back = admin.post(
        "_action/chosen/",
        {"action": "pause", "key": ["a", "b_2Fc"], "confirmed": "1", "back": "state=active"},
        follow=False,
    )
    assert back.response["Location"] == "/admin/habeat/entry/?state=active"
    assert [each.name for each in client.list(state="paused")] == ["a", "b/c"]
    assert "1 entry was resumed. 1 entry was resumed already." in (
        admin.act("resume", "a", "d", begin="now").text
    )
    assert "2 entries were disabled." in admin.act("disable", "a", "d").text
    assert [each.name for each in client.list(state="disabled")] == ["a", "d"]
    assert "1 entry was enabled." in admin.act("enable", "a").text
    assert "2 entries were removed." in admin.act("remove", "a", "b_2Fc").text
    assert [each.name for each in client.list()] == ["d"]
    assert log() == [
        ("a", CHANGED, "Paused."),
        ("b/c", CHANGED, "Paused."),
        ("a", CHANGED, "Resumed from now."),
        ("a", CHANGED, "Disabled."),
        ("d", CHANGED, "Disabled."),
        ("a", CHANGED, "Enabled."),
        ("a", REMOVED, "Removed."),
        ("b/c", REMOVED, "Removed."),
    ]


def test_a_second_click_runs_nothing_twice(admin: Browser, client: habeat.Client) -> None:
    client.add("a", "t", 60)
    asked = admin.post("_action/trigger/", {"key": "a", "of_one": "1"})
    given = {"request_id": asked.field("request_id"), "of_one": "1"}
    assert "1 entry was run." in admin.act("trigger", "a", **given).text
    assert "1 entry was run already." in admin.act("trigger", "a", **given).text
    assert len(requests(client)) == 1
    assert log() == [("a", CHANGED, "Run now.")]
    refused = admin.act("trigger", "a", request_id="not an id!")
    assert "letters, digits" in refused.text


def requests(client: habeat.Client) -> Any:
    return client._calls.read(lambda session: session.entries.requests())


def test_what_is_refused_changes_nothing_and_says_why(
    admin: Browser, client: habeat.Client
) -> None:
    client.add("a", "t", 60)
    declared(client, "code")
    page = admin.act("remove", "a", "code", "gone")
    assert "declared in beat_schedule" in page.text
    assert "no entry named 'gone'" in page.text
    assert [each.name for each in client.list()] == ["a", "code"]
    assert log() == []
    assert "1 entry was disabled." in admin.act("disable", "code", "a").text
    assert log() == [("a", CHANGED, "Disabled.")]


def test_an_entry_that_is_being_moved_keeps_no_other_from_its_change(
    admin: Browser, client: habeat.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from habeat.client import editing

    for name in ("a", "b"):
        client.add(name, "t", 60)
    change = editing.change

    def moving(stored: Any, *given: Any) -> Any:
        if stored.name == "a":
            raise EntryMoving(stored.name, "habeat:new")
        return change(stored, *given)

    monkeypatch.setattr(editing, "change", moving)
    text = admin.act("disable", "a", "b").text
    assert "1 entry was disabled." in text
    assert "habeat:new" in text
    assert [each.name for each in client.list(state="disabled")] == ["b"]


def test_an_entry_of_code_is_paused_and_run_and_not_changed(
    admin: Browser, client: habeat.Client
) -> None:
    declared(client, "code")
    page = admin.get("code/change/")
    assert 'id="entry_form"' not in page.html
    for slug, there in {"pause": True, "trigger": True, "disable": False, "remove": False}.items():
        assert (f'id="habeat-{slug}"' in page.html) is there
    admin.act("pause", "code", reason="why", of_one="1")
    assert client.get("code").state.paused == "why"
    assert 'id="habeat-resume"' in admin.get("code/change/").html
    admin.act("trigger", "code", request_id="1")
    assert len(requests(client)) == 1
    changed = admin.post("code/change/", typed(name="code"))
    assert changed.status == 409
    assert "declared in beat_schedule" in admin.post("code/change/", submitted(changed)).text
    assert client.get("code").task == "proj.code"


def test_the_admins_own_link_to_remove_asks_first(admin: Browser, client: habeat.Client) -> None:
    client.add("a/b", "t", 60)
    page = admin.get("a_2Fb/delete/")
    assert "These entries will be removed" in page.text
    assert client.get("a/b")
    done = admin.post("_action/remove/", submitted_by(page))
    assert "1 entry was removed." in done.text


def submitted_by(page: Any) -> dict[str, str]:
    return {name: page.field(name) for name in ("key", "confirmed", "of_one")}


def test_without_a_choice(admin: Browser) -> None:
    assert "No entry was chosen." in admin.post("_action/pause/", {}).text
    assert admin.post("_action/explode/", {"key": "a"}).status == 404
    assert admin.post("_action/chosen/", {"key": "a", "action": "explode"}).status == 404
    assert admin.get("_action/pause/").status == 405
    for key in ("", "_x", "_x0a", "\n", "%"):
        for slug in ("pause", "disable", "trigger"):
            page = admin.act(slug, key, of_one="1", request_id="1")
            assert page.status == 200


# -- Django's log ---------------------------------------------------------------------------------


def test_changes_are_logged_with_their_fields_and_without_arguments(
    admin: Browser, client: habeat.Client
) -> None:
    from django.contrib.admin.models import LogEntry

    admin.post("add/", typed(kwargs='{"token": "s3cret"}'))
    page = admin.get("report/change/")
    admin.post(
        "report/change/", submitted(page, every="10m", offset="0", kwargs='{"token": "0ther"}')
    )
    first, second = log()
    assert first == ("report", ADDED, "Added: proj.report, every 5 minutes.")
    assert second[:2] == ("report", CHANGED)
    assert second[2].startswith("Changed kwargs, schedule (schedule: every 5 minutes")
    assert second[2].endswith("→ every 10 minutes).")
    assert not [row for row in log() if "s3cret" in row[2] or "0ther" in row[2]]
    row = LogEntry.objects.first()
    assert row.user == admin.user
    assert row.get_admin_url() == "/admin/habeat/entry/report/change/"
    assert admin.get(row.get_admin_url().removeprefix("/admin/habeat/entry/")).status == 200
    assert "Changed kwargs" in admin.get("report/history/").text
    assert "report" in admin.index().text  # recent actions


def test_the_change_log_names_the_user(admin: Browser, client: habeat.Client) -> None:
    admin.post("add/", typed(kwargs='{"token": "s3cret"}'))
    record = client.last_change("report")
    assert record is not None
    assert (record.by, record.way, record.act) == ("ada", "admin", "added")
    assert "s3cret" not in repr(record)


def test_what_is_refused_is_not_logged(admin: Browser, client: habeat.Client) -> None:
    client.add("report", "proj.other", 60)
    admin.post("add/", typed())
    admin.post("add/", typed(every="soon"))
    admin.act("pause", "gone")
    assert log() == []


def fail_after(monkeypatch: pytest.MonkeyPatch, method: str, error: Exception) -> None:
    """The call takes effect, and its answer is lost."""
    real = getattr(habeat.Client, method)

    def act(self: habeat.Client, *given: Any, **named: Any) -> Any:
        real(self, *given, **named)
        raise error

    monkeypatch.setattr(habeat.Client, method, act)


def test_a_change_whose_outcome_is_unknown_is_logged_as_such(
    admin: Browser, client: habeat.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.add("a", "t", 60)
    fail_after(monkeypatch, "pause_many", RedisUnavailable("Redis did not answer"))
    page = admin.act("pause", "a", reason="why")
    assert page.status == 503
    assert "Redis did not answer" in page.text
    ((name, _, message),) = log()
    assert name == "a"
    assert "unknown whether this took effect" in message
    assert message.endswith("Paused: why.")


def test_a_change_of_many_that_was_interrupted_is_logged_for_those_that_it_reached(
    admin: Browser, client: habeat.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        client.add(name, "t", 60)
    why = BulkInterrupted((), ["b"], 3, RedisUnavailable("x"), changed=["a"], repeatable=True)
    fail_after(monkeypatch, "pause_many", why)
    assert "1 may have been" in admin.act("pause", "a", "b", "c").text
    assert [row[0] for row in log()] == ["a", "b"]
    assert "unknown" not in log()[0][2]
    assert "unknown" in log()[1][2]


def test_disabling_many_while_redis_goes_away_says_how_far_it_came(
    admin: Browser, client: habeat.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [f"{number:03}" for number in range(60)]
    client.add_many([{"name": name, "task": "t", "schedule": 60} for name in many])
    write, left = EntryStore.write, [1]

    def until_away(self: EntryStore, *given: Any) -> Any:
        if not left:
            raise RedisUnavailable("Redis went away")
        left.pop()
        return write(self, *given)

    monkeypatch.setattr(EntryStore, "write", until_away)
    text = admin.act("disable", *many).text
    assert "Redis went away" in text
    assert "50 of 60" in text
    assert [row[0] for row in log() if "unknown" not in row[2]] == many[:50]
    assert len(list(client.list(state="disabled"))) == 50


def test_without_a_row_in_the_log_nothing_is_changed(
    admin: Browser, client: habeat.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.contrib.admin.models import LogEntry
    from django.db import DatabaseError

    client.add("a", "t", 60)

    def broken(*given: Any, **named: Any) -> None:
        raise DatabaseError("the database is read-only")

    monkeypatch.setattr(LogEntry.objects, "create", broken)
    with pytest.raises(DatabaseError):
        admin.act("pause", "a")
    assert client.get("a").condition == "active"


def test_a_name_that_no_link_can_carry_is_logged_in_words(
    admin: Browser, client: habeat.Client, valkey: Any
) -> None:
    name = b"caf\xe9\n".decode("utf-8", "surrogateescape")
    declared(client, "code")
    from habeat.store.keys import Keys

    entries = Keys("habeat:proj").entries
    valkey.admin.hset(entries, b"caf\xe9\n", valkey.admin.hget(entries, "code"))
    valkey.admin.delete(Keys("habeat:proj").names)
    page = admin.get()
    assert page.status == 200
    assert "caf\\udce9\\n" in page.text
    key = "_x" + name.encode("utf-8", "surrogateescape").hex()
    assert admin.get(f"{key}/change/").status == 200
    assert admin.get(f"{key}/history/").status == 200
    admin.act("remove", key)
    assert [each.name for each in client.list()] == ["code"]
    assert log() == [("caf\\udce9\\n", REMOVED, "Removed.")]


# -- permissions ----------------------------------------------------------------------------------

NEEDS: dict[str, tuple[Sequence[str], Callable[[Browser], int]]] = {
    "the list": (["view"], lambda user: user.get().status),
    "an entry": (["view"], lambda user: user.get("a/change/").status),
    "the history": (["view"], lambda user: user.get("a/history/").status),
    "the form": (["add"], lambda user: user.get("add/").status),
    "adding": (["add"], lambda user: user.post("add/", typed()).status),
    "changing": (["change"], lambda user: user.post("a/change/", {"rev": "1"}).status),
    "a preview": (["change"], lambda user: user.post("_preview/", typed()).status),
    "pausing": (["pause"], lambda user: user.act("pause", "a", of_one="1").status),
    "resuming": (["pause"], lambda user: user.act("resume", "a", begin="now").status),
    "running": (["trigger"], lambda user: user.act("trigger", "a", request_id="1").status),
    "enabling": (["change"], lambda user: user.act("disable", "a").status),
    "removing": (["delete"], lambda user: user.act("remove", "a").status),
    "the page that asks": (["delete"], lambda user: user.get("a/delete/").status),
}


@pytest.mark.parametrize(("acts", "visit"), NEEDS.values(), ids=NEEDS)
def test_each_view_needs_its_permission(
    user: Callable[..., Browser],
    client: habeat.Client,
    acts: Sequence[str],
    visit: Callable[[Browser], int],
) -> None:
    client.add("a", "t", 60)
    others = {"view", "add", "change", "delete", "pause", "trigger"} - set(acts)
    if acts == ["view"]:
        others -= {"change"}  # who may change may view, as in all of the admin
    if "preview" in str(visit) or acts == ["change"]:
        others -= {"add"}
    before = client.get("a")
    assert visit(user(*others)) == 403
    assert client.get("a") == before
    assert len(list(client.list())) == 1
    assert visit(user("view", *acts)) in (200, 409)


@pytest.mark.parametrize("slug", ["pause", "trigger", "disable", "remove"])
def test_a_project_can_take_a_permission_away_from_all(
    admin: Browser, client: habeat.Client, monkeypatch: pytest.MonkeyPatch, slug: str
) -> None:
    from habeat.contrib.django.admin import EntryAdmin

    client.add("a", "t", 60)
    act = {"disable": "change", "remove": "delete"}.get(slug, slug)
    monkeypatch.setattr(EntryAdmin, f"has_{act}_permission", lambda *_: False)
    assert admin.act(slug, "a", request_id="1").status == 403
    assert f"habeat-{slug}" not in admin.get("a/change/").html
    assert client.get("a").condition == "active"


def test_who_may_only_view_sees_no_arguments_and_no_buttons(
    user: Callable[..., Browser], client: habeat.Client
) -> None:
    client.add("a", "t", 60, args=["s3cret"], options={"headers": {"x": "t0ken"}})
    page = user("view").get("a/change/")
    assert "s3cret" not in page.html
    assert "t0ken" not in page.html
    assert "every" in page.text
    assert 'id="entry_form"' not in page.html
    assert "habeat-pause" not in page.html
    assert "s3cret" in user("change").get("a/change/").html
    assert 'name="action"' not in user("view").get().html


def test_who_is_not_logged_in_is_sent_to_the_login(client: habeat.Client) -> None:
    from django.test import Client

    answer = Client().get("/admin/habeat/entry/")
    assert (answer.status_code, answer["Location"].partition("?")[0]) == (302, "/admin/login/")


@pytest.mark.parametrize(
    "place", ["add/", "a/change/", "_action/pause/", "_action/chosen/", "_preview/", "a/delete/"]
)
def test_every_post_needs_its_token(admin: Browser, client: habeat.Client, place: str) -> None:
    from django.test import Client

    client.add("a", "t", 60)
    forged = Client(enforce_csrf_checks=True)
    forged.force_login(admin.user)
    answer = forged.post(f"/admin/habeat/entry/{place}", {"key": "a", "confirmed": "1"})
    assert answer.status_code == 403
    assert client.get("a").condition == "active"


def test_a_client_of_the_users_own_restricts_what_they_see(
    user: Callable[..., Browser],
    client: habeat.Client,
    app: Celery,
    valkey: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from habeat.contrib.django.admin import EntryAdmin

    client.add("t7:a", "t", 60)
    client.add("t8:a", "t", 60)
    guarded = habeat.Client(app, guard=habeat.Guard(prefix="t7:", tasks=["proj.*"]))
    monkeypatch.setattr(EntryAdmin, "get_client", lambda self, request: guarded)
    tenant = user("view", "add", "change", "pause", "delete")
    circuit = Circuit.opened(5, "boom", 1).to_json()
    valkey.admin.hset(Keys("habeat:proj").circuits, "t8:b", circuit)
    text = tenant.get().text
    assert "t7:a" in text
    assert "t8:" not in text
    assert "1 entry; no beat leads" in text
    assert "no leader" in text
    assert (
        "does not allow this task" in tenant.post("add/", typed(name="t7:b", task="os.system")).text
    )
    assert "does not allow this name" in tenant.act("pause", "t8_3Aa").text
    assert client.get("t8:a").condition == "active"
    monkeypatch.setattr(guarded, "history", lambda name, **given: guarded.diff(name))
    refused = tenant.get("t7_3Aa/history/")
    assert refused.status == 403
    assert "Not allowed" in refused.text
    assert "reload this page" not in refused.text
    guarded.close()
