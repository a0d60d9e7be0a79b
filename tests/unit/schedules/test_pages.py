"""The pages about schedules: the DST table is what the code prints, the examples run."""

from __future__ import annotations

import re
import runpy

import pytest

from habeat.schedules import Schedule, registry
from tests import DOCS

CONCEPTS = DOCS / "concepts"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def test_the_dst_table_is_what_the_code_prints() -> None:
    printed = runpy.run_path(str(DOCS / "evidence" / "dst_table.py"))["page"]()
    assert (DOCS / "evidence" / "dst-table.md").read_text() == printed, (
        "print it again: see the page's head"
    )


def test_the_examples_of_schedules_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of the page's Python, in one namespace; its asserts are the results it shows."""
    monkeypatch.setattr(registry, "_kinds", dict(registry._kinds))
    page = (CONCEPTS / "schedules.md").read_text()
    blocks = BLOCK.findall(page)
    assert len(blocks) >= 4
    names: dict[str, object] = {"__name__": "example"}
    for block in blocks:
        exec(compile(block, "schedules.md", "exec", dont_inherit=True), names)
    own = registry._kinds["workdays"]
    assert issubclass(own, Schedule)
    assert own is names["Workdays"]
