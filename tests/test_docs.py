"""What the documentation says of settings, files and make targets is so."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from habeat.config import SETTINGS, Setting
from tests import DOCS, ROOT

PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)|!\[[^\]]*\]\(([^)\s]+)\)")
TARGET = re.compile(r"`make ([a-z][a-z-]*)|^\s*(?:\$ )?make ([a-z][a-z-]*)", re.MULTILINE)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def settings_table() -> dict[str, list[str]]:
    """The rows of the table in docs/reference/settings.md by setting."""
    lines = (DOCS / "reference" / "settings.md").read_text().splitlines()
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in lines
        if line.startswith("| `habeat_")
    ]
    return {row[0].strip("`"): row[1:] for row in rows}


def shown_default(row: Setting) -> str | None:
    """How the default is written in the table; None if that is a sentence."""
    match row.kind, row.default:
        case "duration" | "path", None:
            return "none"
        case "duration", default:
            return f"{default:g} s" if isinstance(default, float) else f"{default} s"
        case "choice", default:
            return f'`"{default}"`'
        case "count" | "rate", default:
            return str(default)
        case _:
            return None


def anchors(page: Path) -> set[str]:
    """The anchors of a page: those written into it, and of its headings, as GitHub makes them."""
    found = set(re.findall(r'<a id="([^"]+)">', page.read_text()))
    for heading in re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE):
        kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
        found.add(kept.replace(" ", "-"))
    return found


def test_every_setting_is_in_the_table_and_nothing_else() -> None:
    assert list(settings_table()) == [row.name for row in SETTINGS]


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row.name)
def test_a_setting_is_described_with_its_default(row: Setting) -> None:
    default, what, allowed = settings_table()[row.name]
    expected = shown_default(row)
    assert default == expected if expected else default
    assert what.endswith(".")
    assert allowed
    for choice in row.choices:
        assert f'"{choice}"' in default + what


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for match in LINK.finditer(page.read_text()):
        link = match.group(1) or match.group(2)
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), f"{name_of(page)} links to {link}"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{name_of(page)} links to {link}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_make_target_named_exists(page: Path) -> None:
    phony = re.search(r"^\.PHONY:(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", page.read_text(), re.DOTALL))
    named = {first or second for first, second in TARGET.findall(code)}
    assert named <= set(phony.group(1).split())


def test_every_make_target_is_described_in_its_help() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY:(.*)$", text, re.MULTILINE)
    assert phony is not None
    described = re.findall(r"^([a-z-]+):.*## \S", text, re.MULTILINE)
    assert sorted(described) == sorted(phony.group(1).split())


def test_no_page_names_a_setting_that_does_not_exist() -> None:
    known = {row.name for row in SETTINGS}
    # Words that begin alike: the headers of a message and the metrics.
    others = re.compile(r"habeat_(entry|slot|lease_epoch|attempt|\*|…)$")
    for page in PAGES:
        for name in re.findall(r"`(?:app\.conf\.)?(habeat_[a-z_]+)`", page.read_text()):
            assert name in known or others.match(name), f"{name_of(page)} names {name}"


# What the code fills in: values, and words that it takes from a table.
FILLED_IN = re.compile(
    r"…|'|\(|\)|[:;,]|\bN\b|\b\d+\b"
    r"|\b(?:atomic|outbox|RedBeat|unreachable|read only|out of memory|denied|was due)\b"
)


def logged_lines() -> list[str]:
    """The log lines that the operations guide explains."""
    page = (DOCS / "guides" / "operations.md").read_text()
    page = page.partition("### Stored values")[0]
    return [
        line
        for row in re.findall(r"^\| (`.*?) \| ", page, re.MULTILINE)
        for line in re.findall(r"`([^`]+)`", row)
    ]


def test_the_log_lines_that_are_explained_are_those_of_the_code() -> None:
    """By their longest part that is not filled in, which must be a text of the code."""
    texts = [
        node.value
        for file in (ROOT / "src" / "habeat").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    lines = logged_lines()
    assert len(lines) > 50
    for line in lines:
        part = max((part.strip() for part in FILLED_IN.split(line)), key=len)
        assert any(part in text for text in texts), f"operations.md explains {line!r}"
