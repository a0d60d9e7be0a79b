"""No figure in the documentation that is not in the results which are kept."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from benchmarks import pages, plotting, results
from benchmarks.__main__ import COMPUTED, TABLES
from benchmarks.tables import Table, number, short, times

MARK = re.compile(r"<!-- (/?)bench:([a-z_]+) -->")


@pytest.mark.parametrize("name", pages.PAGES)
def test_the_blocks_of_a_page_are_what_the_results_make_of_them(name: str) -> None:
    page = results.ROOT / name
    assert pages.filled(page.read_text(), page) == page.read_text(), (
        'run: make bench ARGS="--write-docs"'
    )


@pytest.mark.parametrize("name", pages.PAGES)
def test_marks_come_in_pairs_and_name_a_table(name: str) -> None:
    marks = MARK.findall((results.ROOT / name).read_text())
    assert marks[::2] == [("", table) for _, table in marks[1::2]]
    assert all(closing == "/" for closing, _ in marks[1::2])
    assert {table for _, table in marks} <= {*TABLES, *COMPUTED}


def test_the_page_of_benchmarks_shows_every_table() -> None:
    marks = MARK.findall((results.ROOT / "docs/evidence/benchmarks.md").read_text())
    assert {table for _, table in marks} == set(TABLES) - {"next_after"}


def test_the_newest_full_result_is_shown(tmp_path: Path) -> None:
    for at, quick in (("2026-01-02", False), ("2026-01-01", False), ("2026-01-03", True)):
        fields = {"benchmark": "burst", "at": at, "quick": quick}
        (tmp_path / f"burst-{at}.json").write_text(json.dumps(fields))
    (tmp_path / "burst_rabbitmq-1.json").write_text(
        json.dumps({"benchmark": "burst_rabbitmq", "at": "2027-01-01", "quick": False})
    )
    found = results.newest("burst", tmp_path)
    assert found is not None
    assert found[1]["at"] == "2026-01-02"
    assert results.newest("grid", tmp_path) is None


def test_a_result_tells_its_circumstances_and_no_infinity(tmp_path: Path) -> None:
    path = results.save(
        "grid", {"late": [1.0, math.inf]}, quick=True, folder=tmp_path, svg="<svg/>"
    )
    fields = results.load(path)
    assert fields["data"] == {"late": [1.0, None]}
    assert fields["quick"] is True
    assert "-quick-" in path.name
    assert {"commit", "machine", "python", "versions", "load_before"} <= set(fields)
    assert str(Path.home()) not in path.read_text()
    assert path.with_suffix(".svg").read_text() == "<svg/>"


def test_a_table_is_aligned_and_has_bars_in_markdown() -> None:
    table = Table("Title", ("who", "how many"), [["habeat", "12"], ["x", "3"]], ["A note."])
    lines = table.text().splitlines()
    assert lines[2:6] == [
        "who     how many",
        "------  --------",
        "habeat        12",
        "x              3",
    ]
    assert "| habeat | 12 |" in table.markdown()
    assert table.markdown().endswith("\n\nA note.")


def test_what_is_unknown_is_not_shown_as_a_figure() -> None:
    assert number(math.inf) == number(math.nan) == number(None) == times(3, 0) == times(3, None)
    assert short(1234.5) == "1,234"
    assert short(12.34) == "12.3"
    assert short(0.1234) == "0.12"
    assert times(10, 4) == "2.50 x"


@pytest.mark.parametrize("log", [True, False])
def test_a_plot_is_a_drawing_within_its_frame(log: bool) -> None:
    curves = {"a < b": [(1.0, 2.0), (10.0, 2_000.0), (5.0, math.inf)], "none": []}
    root = ElementTree.fromstring(plotting.chart("t", "x", "y", curves, log_x=log, log_y=log))
    space = "{http://www.w3.org/2000/svg}"
    drawn = [line.get("points", "").split() for line in root.iter(f"{space}polyline")]
    assert [len(points) for points in drawn] == [2, 0]
    for x, y in (map(float, point.split(",")) for point in drawn[0]):
        assert plotting.LEFT <= x <= plotting.WIDTH - plotting.RIGHT
        assert plotting.TOP <= y <= plotting.HEIGHT - plotting.BOTTOM
    assert "a < b" in [text.text for text in root.iter(f"{space}text")]


def test_a_plot_of_nothing_is_still_a_drawing() -> None:
    ElementTree.fromstring(plotting.chart("t", "x", "y", {}))
    ElementTree.fromstring(plotting.chart("t", "x", "y", {"a": [(0.0, 0.0)]}, log_x=True))
