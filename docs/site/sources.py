"""Pages for the source files that documents link to, such as tests: with highlighting and lines.

A link to a file that is not a page of the site would be a download, or lead to a server that hosts
the repository. As pages, they make the site complete in itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

FOLDER = "source"
_LEXERS = {".py": "python", ".lua": "lua", ".toml": "toml", ".yaml": "yaml", ".yml": "yaml"}


class SourceLinks(SphinxTransform):
    """Turns links to files of the repository into links to their pages."""

    default_priority = 300

    def apply(self, **kwargs: Any) -> None:
        """Replace the nodes that MyST makes for such links."""
        for node in list(self.document.findall(addnodes.download_reference)):
            _, full = self.env.relfn2path(node["reftarget"], self.env.docname)
            path = Path(full).resolve()
            if not path.is_file():
                continue  # Sphinx warns about it
            name = os.path.relpath(path, self.env.srcdir)
            _known(self.env).setdefault(name, set()).add(self.env.docname)
            link = addnodes.pending_xref(
                "",
                *node.children,
                refdomain="",
                reftype=FOLDER,
                reftarget=name,
                refdoc=self.env.docname,
                refexplicit=True,
            )
            node.replace_self(link)


def setup(app: Sphinx) -> dict[str, object]:
    """Called by Sphinx."""
    app.add_transform(SourceLinks)
    app.connect("missing-reference", _resolve)
    app.connect("html-collect-pages", _pages)
    return {"parallel_read_safe": False, "parallel_write_safe": True}


def _known(env: Any) -> dict[str, set[str]]:
    """The files that are linked to, and the documents that do."""
    if not hasattr(env, "linked_sources"):
        env.linked_sources = {}
    found: dict[str, set[str]] = env.linked_sources
    return found


def _resolve(app: Sphinx, env: Any, node: nodes.Element, contents: nodes.Element) -> Any:
    if node.get("reftype") != FOLDER:
        return None
    uri = app.builder.get_relative_uri(node["refdoc"], f"{FOLDER}/{node['reftarget']}")
    return nodes.reference("", "", *node.children, internal=True, refuri=uri)


def _pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    for name, linked_from in sorted(_known(app.env).items()):
        path = Path(app.srcdir, name)
        lexer = _LEXERS.get(path.suffix, "text")
        code = app.builder.highlighter.highlight_block(path.read_text(), lexer, linenos=False)  # type: ignore[attr-defined]
        page = f"{FOLDER}/{name}"
        links = ", ".join(_link(app, page, docname) for docname in sorted(linked_from))
        place = f"<code>{escape(name)}</code>, linked from {links}."
        body = f"<h1>{escape(path.name)}</h1><p>{place}</p>{code}"
        yield page, {"title": name, "body": body}, "page.html"


def _link(app: Sphinx, page: str, docname: str) -> str:
    title = app.env.titles[docname].astext()
    return f'<a href="{app.builder.get_relative_uri(page, docname)}">{escape(title)}</a>'
