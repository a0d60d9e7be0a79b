"""habeat's admin in a Django project, over a real Redis."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape
from importlib.util import find_spec
from typing import Any

import pytest
from celery import Celery

import habeat
from tests.support.django_project import admin_project
from tests.support.servers.redis_server import Server

#: The modules import Django as they are collected.
collect_ignore_glob = [] if find_spec("django") else ["test_*.py"]


@pytest.fixture(scope="module")
def project() -> Iterator[None]:
    with admin_project():
        yield


@pytest.fixture
def database(project: None) -> Iterator[None]:
    """What a test writes is rolled back."""
    from django.db import transaction

    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture
def app(valkey: Server, database: None) -> Iterator[Celery]:
    """The Celery app that the project's settings name."""
    from django.test import override_settings

    app = Celery("proj", broker=valkey.url(), set_as_current=False)
    app.conf.timezone = "Europe/Berlin"

    @app.task(name="proj.report", shared=False)  # type: ignore[untyped-decorator]
    def report() -> None: ...

    with override_settings(HABEAT_CELERY_APP=app):
        yield app


@pytest.fixture
def client(app: Celery) -> Iterator[habeat.Client]:
    with habeat.Client(app) as client:
        yield client


class Page:
    """A response of the admin."""

    def __init__(self, response: Any) -> None:
        self.response = response
        self.status = response.status_code
        self.html = response.content.decode() if not response.streaming else ""

    @property
    def text(self) -> str:
        """What people read."""
        bare = re.sub(r"<(script|style)[^>]*>.*?</\1>|<[^>]+>", " ", self.html, flags=re.DOTALL)
        return " ".join(unescape(bare).split())

    def field(self, name: str) -> str:
        """The value of an input of this name."""
        found = re.search(rf'<input[^>]*name="{name}"[^>]*?value="([^"]*)"', self.html)
        assert found, f"there is no input {name} in {self.text}"
        return unescape(found.group(1))

    def errors(self) -> list[str]:
        lists = re.findall(r'<ul class="errorlist[^>]*>(.*?)</ul>', self.html, re.DOTALL)
        return [unescape(text) for each in lists for text in re.findall(r"<li>(.*?)</li>", each)]


class Browser:
    """A user who is logged in."""

    def __init__(self, user: Any, site: str = "admin") -> None:
        from django.test import Client

        self.user = user
        self._entries = f"/{site}/habeat/entry/"
        self._client = Client()
        self._client.force_login(user)

    def get(self, place: str = "", **query: str) -> Page:
        return Page(self._client.get(self._entries + place, query))

    def post(self, place: str, data: Any = None, *, follow: bool = True) -> Page:
        return Page(self._client.post(self._entries + place, data or {}, follow=follow))

    def index(self) -> Page:
        return Page(self._client.get("/admin/"))

    def act(self, slug: str, *keys: str, **given: str) -> Page:
        """Do something to entries, with the confirmation that some acts ask for."""
        return self.post(f"_action/{slug}/", {"key": keys, "confirmed": "1", **given})


@pytest.fixture
def user(database: None) -> Callable[..., Browser]:
    """`user("view", "pause")`: a browser of a member of staff with these permissions."""
    from django.contrib.auth.models import Permission, User

    def make(*acts: str, also: str = "") -> Browser:
        count = User.objects.count()
        made = User.objects.create_user(f"user-{count}", password="x", is_staff=True)
        codes = [f"{act}_entry" for act in acts] + ([also] if also else [])
        made.user_permissions.set(Permission.objects.filter(codename__in=codes))
        return Browser(User.objects.get(pk=made.pk))

    return make


@pytest.fixture
def admin(database: None) -> Browser:
    """The browser of a superuser."""
    from django.contrib.auth.models import User

    return Browser(User.objects.create_superuser("ada", password="x"))


def typed(**fields: Any) -> dict[str, Any]:
    """What a browser submits for a new entry."""
    return {
        "name": "report",
        "task": "proj.report",
        "kind": "interval",
        "every": "5m",
        "enabled": "on",
        "gap": "shift",
        "fold": "auto",
        **fields,
    }
