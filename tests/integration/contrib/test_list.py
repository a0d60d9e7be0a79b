"""The list of the admin: what it shows, its filters, its pages."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import parse_qsl

import pytest

import habeat
from habeat.contrib.django import listing
from tests.integration.contrib.conftest import Browser, Page

pytestmark = pytest.mark.usefixtures("app")


def names(page: Page) -> list[str]:
    return re.findall(r'<th scope="row" class="habeat-long"><a[^>]*>([^<]*)</a>', page.html)


def test_it_is_in_the_index_of_the_admin(admin: Browser) -> None:
    assert "Celery schedule" in admin.index().text
    assert '/admin/habeat/entry/"' in admin.index().html


def test_another_admin_site_links_to_itself(admin: Browser, client: habeat.Client) -> None:
    client.add("a", "t", 60)
    ops = Browser(admin.user, "ops")
    pages = [ops.get(), ops.get("add/"), ops.get("a/change/"), ops.get("a/history/")]
    for page in [
        *pages,
        ops.post("_action/pause/", {"key": "a"}),
        ops.act("pause", "a", of_one="1"),
    ]:
        assert page.status == 200
        assert "/ops/habeat/entry/" in page.html
        assert "/admin/habeat/" not in page.html
    assert client.get("a").condition == "paused"


def test_a_row_says_what_when_where_and_how_often(admin: Browser, client: habeat.Client) -> None:
    client.add("nightly", "proj.report", habeat.cron("0 8 * * *"), options={"queue": "mail"})
    page = admin.get()
    assert page.status == 200
    for text in ("nightly", "proj.report", "at 08:00", "Europe/Berlin", "mail", "active", "API"):
        assert text in page.text
    assert "never" in page.text  # it has not run
    assert re.search(r"in \d+h.* \d{4}-\d\d-\d\d 08:00:00 CES?T", page.text)
    assert "1 entry; no beat leads" in page.text


def test_an_empty_schedule(admin: Browser) -> None:
    assert "No entries yet" in admin.get().text
    assert "No entry matches" in admin.get(q="x").text


def test_filters(admin: Browser, client: habeat.Client) -> None:
    client.add("a.1", "proj.a", 60, tags=["x"], description="Sends INVOICES")
    client.add("a.2", "proj.b", 60, enabled=False)
    client.add("b.1", "proj.c", 60)
    client.pause("b.1", "the mail server is down")
    assert names(admin.get()) == ["a.1", "a.2", "b.1"]
    assert names(admin.get(q="invoices")) == ["a.1"]
    assert names(admin.get(q="PROJ.B")) == ["a.2"]
    assert names(admin.get(q="a.*")) == ["a.1", "a.2"]
    assert names(admin.get(q="*")) == ["a.1", "a.2", "b.1"]
    assert names(admin.get(state="paused")) == ["b.1"]
    assert names(admin.get(state="disabled")) == ["a.2"]
    assert names(admin.get(tag="x")) == ["a.1"]
    assert names(admin.get(owner="api", state="active")) == ["a.1"]
    assert names(admin.get(owner="config")) == []
    assert names(admin.get(state="nonsense", owner="nonsense")) == ["a.1", "a.2", "b.1"]
    assert "the mail server is down" in admin.get(state="paused").text


def next_page(admin: Browser, page: Page) -> Page:
    link = re.search(r'<a href="\?([^"]*)" id="habeat-next">', page.html)
    assert link, "there is no next page"
    return admin.get(**dict(parse_qsl(unescape(link.group(1)))))


def link(admin: Browser, page: Page, ident: str) -> Page:
    found = re.search(rf'<a href="\?([^"]*)" id="habeat-{ident}">', page.html)
    assert found, f"there is no {ident} page"
    return admin.get("?" + unescape(found.group(1)))


def test_pages_lead_back_as_far_as_their_url_carries(
    admin: Browser, client: habeat.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PAGE", 1)
    monkeypatch.setattr(listing, "TRAIL", 3)
    many = ["a", "b/c", "d&via=e", "f g", "h"]
    client.add_many([{"name": name, "task": "t", "schedule": 60} for name in many])
    page = admin.get()
    seen = names(page)
    for _ in many[1:]:
        page = link(admin, page, "next")
        seen += names(page)
    assert [unescape(name) for name in seen] == many
    for name in ("f g", "d&via=e", "b/c"):
        page = link(admin, page, "previous")
        assert [unescape(each) for each in names(page)] == [name]
    assert "Previous page" not in page.text
    assert "First page" in page.text


def test_the_list_is_sorted_by_its_columns(
    admin: Browser, client: habeat.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PAGE", 2)
    client.add("a", "t.z", habeat.every(7200, 0))
    client.add("b", "t.y", habeat.every(86400, 0), enabled=False)
    client.add("c", "t.x", habeat.every(5, 0))
    ordered = {"task": ["c", "b"], "-task": ["a", "b"], "next": ["c", "a"], "-next": ["a", "c"]}
    for order, expected in ordered.items():
        assert names(admin.get(o=order)) == expected
    page = admin.get(o="next", q="t.")
    assert 'aria-sort="ascending"' in page.html
    assert "o=-next" in page.html
    last = link(admin, page, "next")
    assert names(last) == ["b"]  # it has no next run
    assert "Next page" not in last.text
    assert names(link(admin, last, "previous")) == ["c", "a"]
    assert names(admin.get(o="nonsense", p="-1")) == ["a", "b"]
    assert names(admin.get(o="task", p="99999")) == []


def test_too_many_entries_to_sort_are_listed_by_name(
    admin: Browser, client: habeat.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "SORTED", 2)
    client.add_many([{"name": name, "task": "t", "schedule": 60} for name in "abc"])
    page = admin.get(o="-runs")
    assert names(page) == ["a", "b", "c"]
    assert "narrow the search" in page.text
    assert "narrow the search" not in admin.get(o="-runs", q="a*").text


def test_pages_follow_each_other(admin: Browser, client: habeat.Client) -> None:
    many = sorted(f"tenant/{number}" for number in range(2 * listing.PAGE + 3))
    client.add_many([{"name": name, "task": "t", "schedule": 60} for name in many])
    first = admin.get()
    second = next_page(admin, first)
    third = next_page(admin, second)
    assert [*names(first), *names(second), *names(third)] == many
    assert "Next page" not in third.text
    filtered = next_page(admin, admin.get(q="tenant/*"))
    assert names(filtered) == many[listing.PAGE : 2 * listing.PAGE]


def test_a_page_reads_no_more_than_it_needs(
    admin: Browser, client: habeat.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from habeat.store.entries import EntryStore

    many = [{"name": f"{n:05}", "task": "t", "schedule": 60} for n in range(1_000)]
    client.add_many(many)
    client.list()
    read: list[int] = []
    real = EntryStore.read

    def counted(store: EntryStore, wanted: list[str], *given: object) -> object:
        read.append(len(wanted))
        return real(store, wanted, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(EntryStore, "read", counted)
    assert names(admin.get(after="00800"))[0] == "00801"
    assert sum(read) <= 2 * listing.PAGE


def test_a_search_that_takes_long_can_be_continued(
    admin: Browser, client: habeat.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.add_many([{"name": f"{n:03}", "task": "t", "schedule": 60} for n in range(5)])
    monkeypatch.setattr(listing, "LOOKED_US", -1)
    page = admin.get(q="004")
    assert "The search stopped after 1 entries" in page.text
    for _ in range(3):
        page = next_page(admin, page)
        assert names(page) == []
    assert names(next_page(admin, page)) == ["004"]


@pytest.mark.parametrize("name", ["a/b c", "..", "50%", "a_5F", "_x41", "é/日", "_action", "add"])
def test_every_name_leads_to_its_entry(admin: Browser, client: habeat.Client, name: str) -> None:
    client.add(name, "proj.report", 60)
    link = re.search(
        r'<th scope="row" class="habeat-long"><a href="/admin/habeat/entry/([^"]*)">',
        admin.get().html,
    )
    assert link
    assert name in admin.get(link.group(1)).text
