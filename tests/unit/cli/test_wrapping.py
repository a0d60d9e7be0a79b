"""Long lines on a terminal: broken between words, commands left whole."""

from __future__ import annotations

import pytest

from habeat.cli import printing
from habeat.cli.wrapping import width_of, wrapped

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
