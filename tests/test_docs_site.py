"""The check of the built site notices what it is for; `make docs` runs it on the site itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from docs.site.check import problems

INDEX = '<link rel="stylesheet" href="a.css"><a href="sub/other.html#place">on</a>'
OTHER = (
    '<h1 id="place">Place</h1><a href="../index.html">back</a><a href="https://celery.dev">c</a>'
)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "index.html").write_text(INDEX)
    (tmp_path / "sub" / "other.html").write_text(OTHER)
    (tmp_path / "a.css").write_text("a { background: url(data:image/png;base64,AA) }")
    (tmp_path / "search.html").write_text("a form leads here")
    return tmp_path


def test_a_sound_site_has_no_problems(site: Path) -> None:
    assert list(problems(site)) == []


@pytest.mark.parametrize(
    ("added", "problem"),
    [
        ('<a href="gone.html">x</a>', "leads to no file"),
        ('<a href="other.html#gone">x</a>', "leads to no place"),
        ('<img src="gone.png">', "leads to no file"),
        ('<a href="#gone">x</a>', "leads to no place"),
        ('<script src="https://cdn.example/x.js"></script>', "must come from the site itself"),
        ('<link rel="stylesheet" href="//fonts.example/x.css">', "must come from the site itself"),
    ],
)
def test_a_problem_of_a_page_is_found(site: Path, added: str, problem: str) -> None:
    (site / "sub" / "other.html").write_text(OTHER + added)
    (found,) = problems(site)
    assert problem in found
    assert found.startswith("sub/other.html")


def test_a_page_that_no_link_leads_to_is_found(site: Path) -> None:
    (site / "lost.html").write_text('<a href="index.html">back</a>')
    assert list(problems(site)) == ["lost.html: no page links to it"]


def test_a_font_from_elsewhere_is_found(site: Path) -> None:
    (site / "a.css").write_text("@font-face { src: url('https://fonts.example/f.woff2') }")
    (found,) = problems(site)
    assert found == "a.css loads https://fonts.example/f.woff2"


def test_a_site_without_an_index_is_found(tmp_path: Path) -> None:
    assert list(problems(tmp_path)) == ["there is no index.html"]
