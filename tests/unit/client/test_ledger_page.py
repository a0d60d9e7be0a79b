"""docs/reference/ledger.md has the outcomes, reasons and fields of the code, and no others."""

from __future__ import annotations

import dataclasses
import re

from habeat.client import LedgerRecord
from habeat.client.history import _WHY, OUTCOMES
from habeat.core.leadership import CAUSES
from tests import DOCS, ROOT

PAGE = (DOCS / "reference" / "ledger.md").read_text()
TEXTS = "\n".join(
    file.read_text()
    for pattern in ("*.py", "*.lua")
    for file in (ROOT / "src" / "habeat").rglob(pattern)
)


def quoted(section: str) -> list[str]:
    """What the first column of a section's table sets as code."""
    body = PAGE.partition(f"## {section}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*)$", body, re.MULTILINE)
    return [text for row in rows for text in re.findall(r"`([^`]+)`", row.split(" | ")[0])]


def test_every_outcome_is_explained() -> None:
    assert quoted("Outcomes") == list(OUTCOMES)


def test_every_reason_that_has_words_of_its_own_is_explained_and_none_is_made_up() -> None:
    reasons = quoted("Reasons")
    assert set(_WHY) <= set(reasons)
    for reason in reasons:
        start = "misfire: " if reason == "misfire: all" else reason.partition("…")[0]
        assert re.search(rf"[\"']{re.escape(start)}", TEXTS), reason


def test_the_outcomes_that_go_with_a_reason_exist() -> None:
    body = PAGE.partition("## Reasons\n")[2].partition("\n## ")[0]
    for row in re.findall(r"^\| `.*$", body, re.MULTILINE):
        assert set(row.split(" | ")[1].split(", ")) <= set(OUTCOMES), row


def test_every_field_of_a_record_is_explained() -> None:
    fields = {field.name for field in dataclasses.fields(LedgerRecord)} | {"why"}
    assert set(quoted("Fields of a record")) - {"follow(after=…)"} == fields


def test_every_cause_is_explained() -> None:
    assert quoted("How a leader came to lead") == list(CAUSES)
