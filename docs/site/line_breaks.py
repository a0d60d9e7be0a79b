"""Names, options and settings are not broken at the end of a line; commands and log lines are."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

#: A longer name may be broken, or a narrow window would have to scroll for it.
LONGEST = 32


class KeepNames(SphinxTransform):
    """Marks code of one word for the stylesheet."""

    default_priority = 700

    def apply(self, **kwargs: Any) -> None:
        """Add the class to each such node."""
        for node in self.document.findall(nodes.literal):
            text = node.astext()
            if len(text) <= LONGEST and " " not in text:
                node["classes"].append("one-word")


def setup(app: Sphinx) -> dict[str, object]:
    """Called by Sphinx."""
    app.add_transform(KeepNames)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
