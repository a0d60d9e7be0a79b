"""Tables: complete in a pipe, and on a terminal in the order in which columns give way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pytest

from habeat.cli import tables
from habeat.cli.tables import Cell, GivesWay, Table, cut, width_of

ROWS = [("a" * 30, "b" * 70, "1"), ("c", "d", "22")]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The width of the terminal, to be changed; it shows no colours."""
    width = [80]
    monkeypatch.setattr(tables, "terminal_columns", lambda: width[0])
    return width


def lines_of(
    capsys: pytest.CaptureFixture[str], table: Table, rows: Sequence[Sequence[str | Cell]]
) -> list[str]:
    table.print(rows)
    return capsys.readouterr().out.splitlines()


def test_nothing_is_cut_in_a_pipe(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    table = Table(("NAME", "WORDS", "COUNT"), [GivesWay("WORDS", 12)], right=("COUNT",))
    lines = lines_of(capsys, table, ROWS)
    assert lines[1] == "a" * 30 + "  " + "b" * 70 + "  " + "    1"
    assert lines[2].endswith("     22")


def test_columns_give_way_in_their_order(
    capsys: pytest.CaptureFixture[str], terminal: list[int]
) -> None:
    steps = [GivesWay("WORDS", 12), GivesWay("NAME", 12), GivesWay("WORDS", how="drop")]
    table = Table(("NAME", "WORDS", "COUNT"), steps, right=("COUNT",))
    lines = lines_of(capsys, table, ROWS)
    assert max(map(len, lines)) == 80
    assert lines[1].startswith("a" * 30 + "  " + "b" * 40)
    assert "…" in lines[1]
    assert lines[2].endswith("   22")
    terminal[0] = 40
    lines = lines_of(capsys, table, ROWS)
    assert lines[1] == "a" * 18 + "…  " + "b" * 11 + "…" + "      1"
    terminal[0] = 25
    lines = lines_of(capsys, table, ROWS)
    assert lines[0].split() == ["NAME", "COUNT"]
    assert lines[1] == "a" * 17 + "…      1"
    assert lines[-1].startswith("no room for WORDS: ")


def test_a_column_gets_back_what_is_left_when_another_is_dropped(
    capsys: pytest.CaptureFixture[str], terminal: list[int]
) -> None:
    terminal[0] = 20
    steps = [GivesWay("A", 5), GivesWay("B", how="drop")]
    lines = lines_of(capsys, Table(("A", "B"), steps), [("a" * 18, "b" * 18)])
    assert lines[1] == "a" * 18


def test_a_table_that_fits_is_shown_in_full(
    capsys: pytest.CaptureFixture[str], terminal: list[int]
) -> None:
    table = Table(("A", "B"), [GivesWay("A", how="brief"), GivesWay("B", how="drop")])
    assert lines_of(capsys, table, [(Cell("x", brief="-"), "y")]) == ["A  B", "x  y"]


def test_rows_that_come_later_have_the_room_that_was_left_for_them(
    capsys: pytest.CaptureFixture[str], terminal: list[int]
) -> None:
    terminal[0] = 20
    table = Table(("NAME", "B"), [GivesWay("NAME", 6)], room={"NAME": 30})
    assert lines_of(capsys, table, []) == ["NAME" + " " * 15 + "B"]
    table.add(("a" * 40, "x"))
    table.add(("b", "y"))
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["a" * 16 + "…  x", "b" + " " * 18 + "y"]


def test_brief_texts_come_with_brief_headings(
    capsys: pytest.CaptureFixture[str], terminal: list[int]
) -> None:
    terminal[0] = 12
    table = Table(
        ("DUE", "NEXT DUE"), [GivesWay("NEXT DUE", how="brief")], briefly={"NEXT DUE": "N"}
    )
    rows = [("x", Cell("08:00 (in 4m)", brief="in 4m"))]
    assert lines_of(capsys, table, rows) == ["DUE  N", "x    in 4m"]


@pytest.mark.parametrize(
    ("cell", "width", "shown"),
    [
        (Cell("at 08:00, Europe/Berlin", tail=", Europe/Berlin"), 20, "at 0…, Europe/Berlin"),
        (Cell("at 08:00, Europe/Berlin", tail=", Europe/Berlin"), 12, "at 08:00, E…"),
        (Cell("proj.tasks.report", keeps="end"), 8, "….report"),
        (Cell("tenant-7:report", keeps="ends"), 8, "tena…ort"),
        (Cell("tenant-7:report"), 8, "tenant-…"),
        (Cell("日本語の名前"), 7, "日本語…"),
        (Cell("日本語の名前", keeps="end"), 6, "…名前"),
        (Cell("e\u0301e\u0301"), 2, "e\u0301e\u0301"),
    ],
)
def test_what_is_kept_of_a_text(cell: Cell, width: int, shown: str) -> None:
    assert cut(cell, cell.text, width) == shown
    assert width_of(shown) <= width


@pytest.mark.parametrize("keeps", ["start", "ends", "end"])
def test_the_effort_to_cut_a_text_does_not_grow_with_its_length(
    monkeypatch: pytest.MonkeyPatch, keeps: Literal["start", "ends", "end"]
) -> None:
    measured: list[str] = []
    monkeypatch.setattr(tables, "width_of_character", lambda char: measured.append(char) or 1)
    cut(Cell("", keeps=keeps), "ü" * 100_000, 20)
    assert len(measured) < 100


def test_wide_characters_do_not_shift_the_next_column(capsys: pytest.CaptureFixture[str]) -> None:
    lines = lines_of(capsys, Table(("A", "B")), [("日本", "x"), ("abcd", "y")])
    assert lines == ["A     B", "日本  x", "abcd  y"]


def test_a_text_makes_no_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("one\ntwo\x1b[2J", Cell("x\ry", tail="\ry"))]
    assert lines_of(capsys, Table(("A", "B")), rows)[1] == "one\\ntwo\\x1b[2J  x\\ry"
