"""The page about Celery's settings names each of them, for whichever Celery is installed."""

from __future__ import annotations

import re
from pathlib import Path

import celery
import pytest
from celery.app.defaults import DEFAULTS
from celery.backends import redis

from tests import ROOT

PREFIXES = ("beat_", "broker_", "redis_", "task_")
PAGE = (ROOT / "docs/reference/celery-settings.md").read_text("utf-8")
ROW = re.compile(
    r"^\| `([a-z_]+)`(?: ¹)?(?: \(from (5\.\d+)\))? \| (yes|in part|no) \| ?(.*) \|$", re.MULTILINE
)
INSTALLED = celery.VERSION[:2]


def version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


ROWS = {name: version(since or "5.4") for name, since, _, _ in ROW.findall(PAGE)}


def celerys() -> set[str]:
    """The settings of the installed Celery: those with defaults, and those that it only reads."""
    source = Path(redis.__file__ or "").read_text("utf-8")
    read = set(re.findall(r"'(redis_[a-z_]+)'", source))
    return {name for name in DEFAULTS if name.startswith(PREFIXES)} | read


def test_the_settings_of_this_celery_are_on_the_page_and_no_others() -> None:
    assert {name for name, since in ROWS.items() if since <= INSTALLED} == celerys()


def test_the_settings_of_a_newer_celery_are_marked_as_such() -> None:
    newer = {name for name, since in ROWS.items() if since > INSTALLED}
    assert not newer & celerys()


def test_every_row_is_read_and_stands_under_its_prefix_in_order() -> None:
    assert len(ROWS) == len(re.findall(r"^\| `", PAGE, re.MULTILINE))
    for section in PAGE.split("\n## ")[1:]:
        prefix = section.partition("`")[2].partition("`")[0]
        names = [name for name, *_ in ROW.findall(section)]
        assert names == sorted(names)
        assert all(name.startswith(prefix) for name in names)


@pytest.mark.parametrize("row", [row for row in ROW.findall(PAGE) if row[2] != "yes"])
def test_what_is_not_honoured_has_a_reason(row: tuple[str, ...]) -> None:
    assert row[3]
