"""Long lines on a terminal: broken between words, commands left whole."""

from __future__ import annotations

import click
import pytest

from habeat.cli import errors, printing
from habeat.cli.wrapping import width_of, wrapped
from habeat.errors import EntryNotFound, SettingsError

ADVICE = "2 firings were given up: see `celery -A proj habeat dead list`, then resend or purge"


@pytest.mark.parametrize("columns", range(36, 90))
def test_a_line_is_broken_between_words_and_not_in_a_command(columns: int) -> None:
    lines = wrapped(ADVICE, columns, 2).split("\n")
    assert all(len(line) <= columns for line in lines)
    assert all(line.startswith("  ") for line in lines[1:])
    assert " ".join(line.strip() for line in lines) == ADVICE
    assert any("`celery -A proj habeat dead list`," in line for line in lines)


def test_what_fits_or_goes_to_a_pipe_is_left_alone() -> None:
    spaced = "  a    b"
    assert (wrapped(spaced, 8), wrapped(spaced * 99, None)) == (spaced, spaced * 99)


@pytest.mark.parametrize(
    "text", ["", "x" * 50, "`" + "x" * 50, "a " + "x" * 50 + " b", "每日报告 " * 9]
)
def test_a_word_that_is_too_long_stands_alone(text: str) -> None:
    lines = wrapped(text, 20).split("\n")
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(width_of(line) <= 20 or " " not in line for line in lines)


def test_errors_are_broken_where_stderr_is_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails() -> None:
        raise EntryNotFound("nightly")

    monkeypatch.setattr(errors, "columns_of_errors", lambda: 20)
    with pytest.raises(click.exceptions.Exit):
        errors.guarded(False, fails)
    assert capsys.readouterr().err == "habeat: there is no\n  entry named\n  'nightly'\n"


@pytest.mark.parametrize("argv", [["celery", "habeat", "list"], ["celery", "-A", "x", "habeat"]])
def test_who_names_no_app_is_pointed_to_it(
    monkeypatch: pytest.MonkeyPatch, argv: list[str]
) -> None:
    for name in ("CELERY_APP", "APP"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.argv", argv)
    said = errors.sentence_of(SettingsError("habeat_redis_url", "habeat has no Redis"))
    assert ("name your app: celery -A proj habeat COMMAND" in said) is ("-A" not in argv)


def test_values_stay_beside_their_labels(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(printing, "terminal_columns", lambda: 30)
    printing.pairs([("name", "a"), ("schedule", "every 5 minutes from Monday\nto Friday")])
    assert capsys.readouterr().out.split("\n") == [
        "name      a",
        "schedule  every 5 minutes from",
        "          Monday\\nto Friday",
        "",
    ]


@pytest.mark.parametrize(
    ("name", "shown"), [("a b", "a b"), (" ", "' '"), ("a ", "'a '"), ("\ta", "\ta")]
)
def test_blanks_at_the_ends_of_a_name_can_be_seen(name: str, shown: str) -> None:
    assert printing.shown_name(name) == shown
