"""No two firings share a key or a task id, whatever their entries and requests are called."""

from __future__ import annotations

import itertools
import re

import pytest

from habeat.core.firing import Firing, escaped

TEXTS = ("v", "v:5", "v:5#r", "v@5", "v@5#r", "v/5", "v/5#r", "5", "r:7", "r@7", "r/7", "#", "%23")


@pytest.mark.parametrize("separator", [":", "@", "/"])
def test_a_key_of_two_texts_is_taken_apart_at_its_last_separator(separator: str) -> None:
    made: dict[str, tuple[str, int, str]] = {}
    for entry, slot_ms, request in itertools.product(TEXTS, (5, 7), ("", *TEXTS)):
        identity = Firing(entry, slot_ms, slot_ms, request=request).identity
        key = f"{entry}{separator}{identity}"
        found = made.setdefault(key, (entry, slot_ms, request))
        assert found == (entry, slot_ms, request), f"{key} stands for two firings"
        assert key.rpartition(separator) == (entry, separator, identity)


def test_no_two_firings_have_one_task_id() -> None:
    ids = {
        Firing(entry, slot_ms, slot_ms, request=request).task_id("c")
        for entry, slot_ms, request in itertools.product(TEXTS, (5, 7), ("", *TEXTS))
    }
    assert len(ids) == len(TEXTS) * 2 * (len(TEXTS) + 1)


def test_plain_requests_are_named_as_before() -> None:
    for plain in ("3f2b-99", "nightly_rerun.2", "größer"):
        assert Firing("e", 5, 5, request=plain).identity == f"5#{plain}"


def test_escaping_loses_nothing() -> None:
    text = "a%b#c:d@e/f\ng"
    assert re.sub("%(..)", lambda found: chr(int(found[1], 16)), escaped(text)) == text
    assert not set("#:@/\n") & set(escaped(text))
