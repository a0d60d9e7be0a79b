"""The fault matrix says what the checker demands, and what was measured, and its tests exist."""

from __future__ import annotations

import re

from tests.verification.history.events import Kind
from tests.verification.history.explanations import EXPLANATIONS, Hits
from tests.verification.history.matrix import ROWS
from tests.verification.history.page import PAGE, ROOT, anchor, matrix, read_figures, written
from tests.verification.simulation.plan import plan_of
from tests.verification.simulation.run import Simulation


def test_every_kind_of_fault_has_its_row() -> None:
    assert set(ROWS) == set(Kind) == set(EXPLANATIONS)


def test_no_row_promises_more_or_less_than_the_checker() -> None:
    for kind, row in ROWS.items():
        explanation = EXPLANATIONS[kind]
        may_repeat = explanation.outbox is not Hits.NOBODY
        if may_repeat:
            assert row.outbox != "none", kind
        elif not explanation.loses:
            assert row.outbox == "none", kind


def test_every_row_names_tests_that_exist() -> None:
    for kind, row in ROWS.items():
        for test in row.tests:
            assert (ROOT / "tests" / test).is_file(), (kind, test)
        assert row.tests or kind is Kind.BROKER_LOST, kind


def test_the_page_is_as_it_would_be_written() -> None:
    page = PAGE.read_text()
    assert page == written(page, *read_figures()), (
        "run python -m tests.verification.history --write-docs"
    )


def test_no_seed_of_the_published_run_fails_any_more() -> None:
    simulation, _ = read_figures()
    again = simulation.get("again", {"seeds": [], "failed_seeds": []})
    assert again["seeds"] == simulation["failed_seeds"]
    assert again["failed_seeds"] == []
    assert [seed for seed in again["seeds"] if Simulation(plan_of(seed)).run().problems] == []


def test_the_page_names_the_seeds_that_failed_and_what_became_of_them() -> None:
    simulation, chaos = read_figures()
    again = {"commit": "later", "seeds": [7, 8], "failed_seeds": [8]}
    text = matrix({**simulation, "failed_seeds": [7, 8], "again": again}, chaos)
    assert "2 seeds failed (7, 8)" in text
    assert "1 still fail at commit `later`" in text


def test_each_promise_of_the_readme_links_to_a_row() -> None:
    readme = (ROOT / "README.md").read_text()
    linked = set(re.findall(r"fault-matrix\.md#([a-z-]+)", readme))
    assert linked >= {anchor(kind) for kind in (Kind.KILL, Kind.FREEZE, Kind.TERM)}
    known = {anchor(kind) for kind in Kind}
    headings = {
        heading.lower().replace(" ", "-").replace(",", "")
        for heading in re.findall(r"^## (.*)$", PAGE.read_text(), re.MULTILINE)
    }
    assert linked <= known | headings, linked - known - headings
