"""Check a built site: no dead links, every page reachable, nothing loaded from elsewhere.

python -m docs.site.check build/docs
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

START = "index.html"

#: What a browser loads by itself, by tag: the attribute that says from where.
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "object": "data"}
#: Kinds of `link` that a browser loads.
LOADED_LINKS = {
    "stylesheet",
    "icon",
    "preload",
    "shortcut icon",
    "apple-touch-icon",
    "modulepreload",
}
IN_STYLES = re.compile(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)")

#: Pages that Sphinx makes and that pages reach by a form or by nothing.
GENERATED = {"genindex.html", "py-modindex.html", "search.html"}


@dataclass
class Page(HTMLParser):
    """What one page links to, loads, and can be linked at."""

    links: set[str] = field(default_factory=set)
    loads: set[str] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the ids, links and resources of a tag."""
        given = {name: value or "" for name, value in attrs}
        self.ids.update(given[name] for name in ("id", "name") if given.get(name))
        if tag == "a" and "href" in given:
            self.links.add(given["href"])
        if tag in LOADED and LOADED[tag] in given:
            self.loads.add(given[LOADED[tag]])
        if tag == "link" and given.get("rel", "").lower() in LOADED_LINKS:
            self.loads.add(given.get("href", ""))


def problems(site: Path) -> Iterator[str]:
    """What is wrong with the site in this folder, a sentence each."""
    pages = {path: _read(path) for path in sorted(site.rglob("*.html"))}
    if site / START not in pages:
        yield f"there is no {START}"
        return
    for path, page in pages.items():
        name = path.relative_to(site)
        for link in sorted(page.links | page.loads):
            if why := _dead(link, path, pages):
                yield f"{name}: {why}"
        for link in sorted(page.loads):
            if _is_elsewhere(link):
                yield f"{name} loads {link}: everything must come from the site itself"
    for path in sorted(site.rglob("*.css")):
        for found in IN_STYLES.findall(path.read_text()):
            link = found[0] or found[1]
            if _is_elsewhere(link) and not link.startswith("data:"):
                yield f"{path.relative_to(site)} loads {link}"
    for path in sorted(set(pages) - _reached(site / START, pages)):
        if path.name not in GENERATED:
            yield f"{path.relative_to(site)}: no page links to it"


def _read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def _is_elsewhere(link: str) -> bool:
    parts = urlsplit(link)
    return bool(parts.netloc) or (bool(parts.scheme) and parts.scheme != "data")


def _target(link: str, path: Path) -> tuple[Path, str] | None:
    """The file and the anchor that a link of this page leads to; None if it leads elsewhere."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None
    file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    return file, unquote(parts.fragment)


def _dead(link: str, path: Path, pages: dict[Path, Page]) -> str:
    """Why a link leads nowhere; "" if it leads somewhere, or to another site."""
    found = _target(link, path)
    if found is None:
        return ""
    file, anchor = found
    if not file.is_file():
        return f"the link {link} leads to no file"
    if anchor and file in pages and anchor not in pages[file].ids:
        return f"the link {link} leads to no place in {file.name}"
    return ""


def _reached(start: Path, pages: dict[Path, Page]) -> set[Path]:
    """All pages that links lead to, beginning with this one."""
    reached: set[Path] = set()
    waiting = [start]
    while waiting:
        path = waiting.pop()
        if path in reached or path not in pages:
            continue
        reached.add(path)
        targets = (_target(link, path) for link in pages[path].links)
        waiting += [target[0] for target in targets if target]
    return reached


def main() -> int:
    """Print what is wrong with the site; 1 if anything is."""
    site = Path(sys.argv[1]).resolve()
    found = list(problems(site))
    for sentence in found:
        print(sentence)
    count = sum(1 for _ in site.rglob("*.html"))
    print(f"{count} pages, {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
