"""Texts of users, tenants and stored values are printed on one line, and control nothing."""

from __future__ import annotations

import json
import logging

import pytest

import habeat
from habeat.errors import (
    BulkError,
    DefinitionError,
    EntryExists,
    EntryNotFound,
    HabeatError,
    ValidationError,
)
from habeat.printable import Shown, kind_of, place, printable, printable_json, redacted, repr_of

FORGED = "x\n[2026-11-28 00:00:00,000: CRITICAL/MainProcess] habeat: FORGED"
HOSTILE = (
    FORGED,
    "\x1b[2Jcleared",
    "\r\x08\x7f\x00",
    "ab\u202ecba",
    "\u2066left\u2069",
    "\u2028line\u2029",
    "\u0085next",
    "\ud800lone",
    "\udcffbyte",
    "\u200bzero\ufeff",
    "\x9b31m",
    "\U000e0041tag",
)


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_nothing_in_it_acts_or_hides(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    shown.encode()  # it can be written to any stream


def test_plain_text_stays_as_it_is() -> None:
    text = "Bücher für 東京 🚀 C:\\temp"
    assert printable(text) is text


def test_a_long_text_is_cut() -> None:
    assert printable("a" * 20_000_000, 10) == "a" * 9 + "…"
    assert len(printable("\n" * 100, 10)) == 10


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_json_reads_back_exactly(text: str) -> None:
    written = printable_json({text: [text]})
    assert written.replace("\n", "").isprintable()
    assert json.loads(written.encode()) == {text: [text]}


def test_a_repr_that_fails_or_never_ends_is_bounded() -> None:
    class Odd:
        def __repr__(self) -> str:
            raise ZeroDivisionError("in somebody's class")

    assert repr_of(Odd()) == "a Odd"
    assert len(repr_of("y" * 20_000_000)) < 200
    assert len(repr_of(["y" * 1_000] * 1_000)) < 200


def test_a_place_in_the_arguments_is_named_without_its_value() -> None:
    assert place("kwargs", ["token", 0, "a\nb"]) == 'kwargs["token"][0]["a\\nb"]'


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_a_log_record_is_one_line(text: str, caplog: pytest.LogCaptureFixture) -> None:
    assert habeat.__version__
    log = logging.getLogger("habeat")
    log.error("habeat: entry %s cannot be sent: %s", text, ValueError(text))
    try:
        raise ValueError(text)
    except ValueError:
        log.error("habeat: a tick failed", exc_info=True)
    for record in caplog.records:
        assert record.getMessage().isprintable()
    lines = logging.Formatter("[time: ERROR] %(message)s").format(caplog.records[1]).split("\n")
    assert len(lines) > 2
    assert all(line.startswith("  | ") for line in lines[1:])
    assert all(line.isprintable() for line in lines)


def test_a_long_name_leaves_room_for_the_reason(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("habeat")
    log.error("habeat: entry %r waits %d s: %s", "x" * 9_000, 5, ValueError("y" * 9_000 + "z"))
    log.error("habeat: entry %r is not scheduled: %s", "x" * 9_000, "too long")
    first, second = (record.getMessage() for record in caplog.records)
    assert " waits 5 s: yyy" in first
    assert second.endswith("is not scheduled: too long")
    assert max(len(first), len(second)) < 1_100


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_a_text_of_ours_that_others_log_is_printable_and_keeps_its_value(text: str) -> None:
    shown = Shown(text)
    assert f"{shown} {shown!s} {'%s' % shown}".isprintable()  # noqa: UP031
    assert shown == text
    assert json.loads(json.dumps(shown)) == text
    assert len(str(Shown("x" * 9_000))) == 500


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_errors_are_one_line(text: str) -> None:
    errors = (
        HabeatError(text),
        EntryNotFound(text),
        ValidationError(text, text, text, entry=text),
        BulkError({text: EntryNotFound(text)}, 1),
    )
    assert all(str(error).isprintable() for error in errors)


def test_a_long_name_leaves_room_for_what_an_error_says() -> None:
    assert len(str(EntryNotFound("x" * 9_000))) < 200
    assert "already exists: rename it" in str(EntryExists("x" * 9_000, "api", "rename it"))
    assert str(DefinitionError("x" * 9_000, "too large")).endswith("too large")


def test_error_texts_are_bounded() -> None:
    long = "y" * 20_000_000
    assert len(str(ValidationError("description", long, "shorter", entry="e"))) <= 500
    assert "expected shorter" in str(ValidationError("description", long, "shorter", entry="e"))
    assert len(str(HabeatError(long))) == 500


@pytest.mark.parametrize(
    "field", ["args", "kwargs", 'kwargs["token"]', "headers", "options.headers"]
)
def test_values_of_arguments_are_in_no_error(field: str) -> None:
    error = ValidationError(field, ["hunter2"], "what JSON can carry").of_entry("e")
    assert "hunter2" not in f"{error} {error!r} {vars(error)}"
    assert f"entry 'e': invalid {field}: expected what JSON can carry, got a list" == str(error)
    assert kind_of(error.given) == "a list"


def test_values_of_arguments_are_taken_out_of_other_peoples_texts() -> None:
    kwargs = {"token": "hunter2", "to": [{"mail": "a@b.example"}], "pin": 12345678, "n": 1}
    text = "bad 'hunter2' for a@b.example, pin 12345678, attempt 1"
    assert redacted(text, kwargs=kwargs, args=("other",)) == (
        'bad <kwargs["token"]> for <kwargs["to"][0]["mail"]>, pin <kwargs["pin"]>, attempt 1'
    )


def test_a_value_inside_another_is_taken_out_with_it() -> None:
    text = redacted("no: secret-and-more", args=("secret", "secret-and-more"))
    assert text == "no: <args[1]>"


def test_taking_values_out_is_bounded() -> None:
    deep: object = "deep secret"
    for _ in range(10_000):
        deep = [deep]
    assert redacted("x", args=(deep, *map(str, range(100_000)))) == "x"
