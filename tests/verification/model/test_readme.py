"""README.md quotes the code that each step of the model stands for, and the code still says so."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.cases import for_every
from tests.verification.model.builds import DEFECTS, VANISH

HERE = Path(__file__).resolve().parent
ROW = re.compile(r"^\| (?P<step>[^|]+) \| \[[^]]+\]\((?P<file>[^)]+)\) \| `(?P<line>[^|]+)` \|$")
README = (HERE / "README.md").read_text()
MODEL = (HERE / "protocol.pml").read_text()
STEPS = [found for line in README.splitlines() if (found := ROW.match(line))]


def standing_at(file: str, quoted: str) -> list[int]:
    """The numbers of the lines that are what was quoted, indentation aside."""
    lines = (HERE / file).read_text().splitlines()
    return [number for number, line in enumerate(lines, 1) if line.strip() == quoted]


@for_every(STEPS, lambda row: str(row["step"]))
def test_the_quoted_line_stands_in_the_code(row: re.Match[str]) -> None:
    assert standing_at(row["file"], row["line"]), f"{row['file']} has no line {row['line']!r}"


@for_every(STEPS, lambda row: str(row["step"]))
def test_the_step_stands_in_the_model(row: re.Match[str]) -> None:
    for name in re.findall(r"`(\w+)`", row["step"]):
        assert re.search(rf"\b{name}\b", MODEL), f"protocol.pml has no {name}"


def test_every_script_of_the_protocol_is_mapped() -> None:
    files = {Path(row["file"]).name for row in STEPS}
    whole = {"acquire", "steal", "leadership", "release", "tick", "common"}
    outbox = {"claim", "settle", "mark", "recover"}
    assert {f"{name}.lua" for name in whole | outbox} <= files


@for_every(sorted({defect.flag for defect in DEFECTS}))
def test_a_defect_is_in_the_model_and_reported(flag: str) -> None:
    assert re.search(rf"\b{flag}\b", MODEL)
    assert f"`{flag}`" in README


def test_every_switch_of_the_model_is_a_defect_or_reported() -> None:
    switches = set(re.findall(r"(?:#ifn?def|defined\() ?(\w+)", MODEL))
    sizes = {"REPLICAS", "SLOTS", "CRASHES", "OTHERS", "CAP", "ATOMIC", "AT_MOST_ONCE", "LTL"}
    assert switches - sizes - {defect.flag for defect in DEFECTS} == set(VANISH)
    assert all(f"`-D{name}`" in README for name in VANISH)
