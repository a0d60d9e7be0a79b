"""The pages of the site: the repository's Markdown, with the names and the order that it has there.

- A page keeps its place: links between pages are the same on the site as in the repository. Only
  the names are shorter: `docs/guides/upgrade.md` is `guides/upgrade.html`, `docs/README.md` the
  index.
- The navigation is what the README of a folder lists: the pages under each of its headings, in
  that order. So there is one index, and Sphinx warns about a page that is not in it.
- `<a id="…">` is an anchor that links may lead to, as in the repository.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.project import Project

#: Where the pages are, relative to the repository.
INCLUDED = (
    "*.md",
    "docs/**.md",
    "examples/**.md",
    "deploy/**.md",
    "tests/README.md",
    "tests/verification/model/README.md",
    "changelog.d/README.md",
)

_NAMES = {"docs/README": "index", "README": "overview"}
_SECTION = re.compile(r"^## (.+?)(?:: .*)?$", re.MULTILINE)
_LINK = re.compile(r"^(?:- |\| )\[([^\]]+)\]\(([^)#\s]+\.md)\)", re.MULTILINE)
_ANCHOR = re.compile(r'<a id="([^"]+)">')


class RepositoryPages(Project):
    """Gives the pages of a repository short names."""

    def path2doc(self, filename: str | os.PathLike[str]) -> str | None:
        """The name of a page, without its first folder if that is docs."""
        docname = super().path2doc(filename)
        if docname is None:
            return None
        if docname in _NAMES:
            return _NAMES[docname]
        return str(PurePosixPath(docname.removeprefix("docs/")).with_suffix("")).lower()


def setup(app: Sphinx) -> dict[str, object]:
    """Called by Sphinx."""
    app.connect("builder-inited", _rename)
    app.connect("source-read", _add_navigation)
    app.connect("doctree-read", _register_anchors)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _rename(app: Sphinx) -> None:
    app.project = app.env.project = RepositoryPages(app.srcdir, app.config.source_suffix)


def _add_navigation(app: Sphinx, docname: str, source: list[str]) -> None:
    path = Path(app.env.doc2path(docname))
    if path.name == "README.md" and path.is_relative_to(app.confdir):
        source[0] += "".join(navigation(source[0], path, app.project))


def navigation(text: str, path: Path, project: Project) -> Iterator[str]:
    """Hidden tables of contents with the pages that a README lists, one for each heading."""
    seen: set[str] = set()
    parts = _SECTION.split(text)
    for caption, body in zip(parts[1::2], parts[2::2], strict=True):
        lines = []
        for title, target in _LINK.findall(body):
            page = project.path2doc((path.parent / target).resolve())
            if page and page not in seen:
                seen.add(page)
                # A number says nothing in a sidebar; the page's own title does.
                lines.append(f"/{page}" if title.isdigit() else f"{title} </{page}>")
        if lines:
            head = f"\n\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n"
            yield head + "\n".join(lines) + "\n```\n"


def _register_anchors(app: Sphinx, doctree: nodes.document) -> None:
    slugs = app.env.metadata[app.env.docname].setdefault("myst_slugs", {})
    for node in doctree.findall(nodes.raw):
        for anchor in _ANCHOR.findall(node.astext()):
            slugs[anchor] = (node.line, anchor, anchor)
