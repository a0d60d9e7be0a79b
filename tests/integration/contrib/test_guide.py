"""The Python of docs/guides/django.md runs as it stands."""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery

import habeat
from habeat.errors import NotAllowed
from tests import DOCS

BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
BLOCKS = BLOCK.findall((DOCS / "guides" / "django.md").read_text())


@pytest.fixture
def guide(
    app: Celery, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], dict[str, Any]]]:
    """Runs the block that contains a text; `proj.celery` is there for it."""
    from django.contrib import admin

    from habeat.contrib.django.admin import EntryAdmin
    from habeat.contrib.django.models import Entry

    package, module = types.ModuleType("proj"), types.ModuleType("proj.celery")
    package.celery = module.app = app  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "proj", package)
    monkeypatch.setitem(sys.modules, "proj.celery", module)

    def run(text: str) -> dict[str, Any]:
        (block,) = [each for each in BLOCKS if text in each]
        names: dict[str, Any] = {}
        exec(compile(block, "django.md", "exec", dont_inherit=True), names)
        return names

    yield run
    admin.site.unregister(Entry)
    admin.site.register(Entry, EntryAdmin)


def test_the_app_can_be_named(app: Celery, guide: Callable[[str], dict[str, Any]]) -> None:
    from django.test import override_settings

    from habeat.contrib.django.celery_app import celery_app

    with override_settings(HABEAT_CELERY_APP=guide("HABEAT_CELERY_APP")["HABEAT_CELERY_APP"]):
        assert celery_app() is app


def test_the_settings_pass_the_check(guide: Callable[[str], dict[str, Any]]) -> None:
    from django.test import override_settings

    from habeat.contrib.django.checks import check_settings

    names = guide("INSTALLED_APPS")
    assert "habeat.contrib.django" in names["INSTALLED_APPS"]
    app = Celery("proj", set_as_current=False)
    celery = {key: value for key, value in names.items() if key.startswith("CELERY_")}
    app.config_from_object(types.SimpleNamespace(**celery), namespace="CELERY")
    with override_settings(HABEAT_CELERY_APP=app, TIME_ZONE=celery["CELERY_TIMEZONE"]):
        assert check_settings() == []


def test_users_can_have_a_guard(guide: Callable[[str], dict[str, Any]]) -> None:
    names = guide("RestrictedAdmin")
    site = names["admin"].site
    assert site.is_registered(names["Entry"])
    restricted = names["RestrictedAdmin"](names["Entry"], site)

    def client_of(*, is_superuser: bool) -> habeat.Client:
        user = types.SimpleNamespace(is_superuser=is_superuser)
        found: habeat.Client = restricted.get_client(types.SimpleNamespace(user=user))
        return found

    with client_of(is_superuser=False) as tenant:
        tenant.add("a", "reports.daily", 60)
        with pytest.raises(NotAllowed):
            tenant.add("b", "os.system", 60)
    with client_of(is_superuser=True) as own:
        own.add("b", "os.system", 60)
