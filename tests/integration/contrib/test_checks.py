"""The system check: settings that stop the schedule, or make the admin misleading."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from habeat.contrib.django import celery_app as finding
from habeat.contrib.django.checks import check_settings

pytestmark = pytest.mark.usefixtures("project")


@pytest.fixture(autouse=True)
def good(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The settings of Django, with a correct app."""
    from django.conf import settings
    from django.test import override_settings

    app = Celery("proj", broker="redis://localhost", set_as_current=False)
    app.conf.update(beat_scheduler="habeat.Scheduler", timezone="Europe/Berlin")
    with override_settings(HABEAT_CELERY_APP=app, TIME_ZONE="Europe/Berlin"):
        yield settings


def found() -> list[tuple[str, str]]:
    return [(each.id, each.msg) for each in check_settings()]


def test_nothing_is_wrong() -> None:
    assert found() == []


@pytest.mark.parametrize(
    "name", ["habeat", "habeat.Scheduler", "habeat:Scheduler", "habeat.beat.scheduler:Scheduler"]
)
def test_each_way_to_name_the_scheduler(good: Any, name: str) -> None:
    good.HABEAT_CELERY_APP.conf.beat_scheduler = name
    assert found() == []


WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "Celery's scheduler": (
        {"beat_scheduler": "celery.beat:PersistentScheduler"}, "W002", "-S habeat.Scheduler"
    ),
    "the database's": (
        {"beat_scheduler": "django_celery_beat.schedulers:DatabaseScheduler"},
        "W003", "entries in the database",
    ),
    "no Redis": ({"broker_url": "amqp://localhost"}, "W005", "habeat_redis_url"),
    "a bad value": ({"habeat_lease_ttl": "soon"}, "W005", "habeat_lease_ttl"),
    "another zone": ({"timezone": "UTC"}, "W006", "UTC, but Django's TIME_ZONE is Europe/Berlin"),
    "no such zone": ({"timezone": "Mars/Phobos"}, "W006", "Mars"),
}  # fmt: skip


@pytest.mark.parametrize(("conf", "number", "text"), WRONG.values(), ids=WRONG)
def test_what_is_wrong(good: Any, conf: dict[str, Any], number: str, text: str) -> None:
    good.HABEAT_CELERY_APP.conf.update(conf)
    ((identity, message),) = found()
    assert identity == f"habeat.{number}"
    assert text in message


def test_tables_that_beat_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.apps import apps

    monkeypatch.setattr(apps, "is_installed", lambda name: name == "django_celery_beat")
    ((identity, message),) = found()
    assert identity == "habeat.W004"
    assert "does not send the entries in its tables" in message


def test_an_app_that_cannot_be_found() -> None:
    from django.test import override_settings

    for given in ("no.such.module", 7, "os"):
        with override_settings(HABEAT_CELERY_APP=given):
            ((identity, message),) = found()
        assert identity == "habeat.W001"
        assert "what follows `celery -A`" in message


def test_a_module_that_fails_is_named_without_its_text(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from django.test import override_settings

    (tmp_path / "failing_proj.py").write_text("raise RuntimeError('redis://:s3cret@host')")
    monkeypatch.syspath_prepend(tmp_path)
    with override_settings(HABEAT_CELERY_APP="failing_proj"):
        ((identity, message),) = found()
    assert identity == "habeat.W001"
    assert "RuntimeError" in message
    assert "celery -A failing_proj report" in message
    assert "s3cret" not in message


def test_a_configuration_that_cannot_be_read() -> None:
    from django.test import override_settings

    app = Celery("broken", set_as_current=False)
    app.config_from_object("no.such.settings")
    with override_settings(HABEAT_CELERY_APP=app):
        ((identity, message),) = found()
    assert identity == "habeat.W001"
    assert "no.such.settings" in message or "no" in message


# -- which app ------------------------------------------------------------------------------------


def test_the_app_is_named_as_after_celery_dash_a(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.test import override_settings

    app = Celery("shop", set_as_current=False)
    package, module = types.ModuleType("shop"), types.ModuleType("shop.celery")
    module.app = package.celery = app  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "shop", package)
    monkeypatch.setitem(sys.modules, "shop.celery", module)
    for given in ("shop", "shop.celery:app"):
        with override_settings(HABEAT_CELERY_APP=given):
            assert finding.celery_app() is app


def test_without_a_setting_it_is_the_one_that_was_current_when_django_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from django.test import override_settings

    app = Celery("shop", set_as_current=False)
    with override_settings(HABEAT_CELERY_APP=None):
        monkeypatch.setattr(finding, "_remembered", [])
        monkeypatch.setattr(finding, "current_app", _Current(app))
        finding.remember_current_app()
        fallback = Celery("default", set_as_current=False)
        monkeypatch.setattr(finding, "current_app", _Current(fallback))  # as in a server's thread
        assert finding.celery_app() is app
        finding.remember_current_app()
        ((identity, message),) = found()
    assert identity == "habeat.W001"
    assert "no Celery app in this process" in message


class _Current:
    def __init__(self, app: Celery) -> None:
        self._app = app

    def _get_current_object(self) -> Celery:
        return self._app


# -- the model without a table --------------------------------------------------------------------


def test_the_migration_is_that_of_the_model() -> None:
    from django.apps import apps
    from django.db.migrations.autodetector import MigrationAutodetector
    from django.db.migrations.loader import MigrationLoader
    from django.db.migrations.state import ProjectState
    from django.test import override_settings

    with override_settings(MIGRATION_MODULES={}):
        loader = MigrationLoader(None)
        autodetector = MigrationAutodetector(loader.project_state(), ProjectState.from_apps(apps))
        changes = autodetector.changes(graph=loader.graph, trim_to_apps={"habeat"})
    assert "habeat" not in changes


def test_code_that_goes_through_all_models_finds_no_rows() -> None:
    from io import StringIO

    from django.core.management import call_command

    from habeat.contrib.django.models import Entry

    out = StringIO()
    for options in ({}, {"use_base_manager": True}):
        call_command("dumpdata", "habeat", stdout=out, **options)
    assert out.getvalue().split() in (["[][]"], ["[]", "[]"])
    assert not Entry.objects.exists()
    assert list(Entry._base_manager.filter(name="x")) == []


def test_the_permissions_are_there() -> None:
    from django.contrib.auth.models import Permission

    found = Permission.objects.filter(content_type__app_label="habeat")
    acts = ["add", "change", "delete", "pause", "trigger", "view"]
    assert sorted(each.codename for each in found) == [f"{act}_entry" for act in acts]


def test_django_itself_finds_nothing_wrong() -> None:
    from django.core.management import call_command

    call_command("check", fail_level="WARNING")
