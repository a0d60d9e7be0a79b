"""Sphinx's configuration for the documentation site; `make docs` builds it.

The sources are the Markdown files of the whole repository, as they are (see docs/site).
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from docs.site import pages  # noqa: E402

from habeat import __version__  # noqa: E402

project = "habeat"
author = "The habeat authors"
copyright = author
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "docs.site.pages",
    "docs.site.sources",
    "docs.site.line_breaks",
    "docs.site.public_names",
]
root_doc = "index"
include_patterns = list(pages.INCLUDED)
exclude_patterns = ["build", "dist", ".*", "**/.pytest_cache", "benchmarks", "src"]
highlight_language = "text"

myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # some pages skip a level for smaller headings

default_role = "literal"  # docstrings have names in single backticks
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"undoc-members": True}
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 90
#: Types that this site does not describe: the standard library's, Celery's, variables of types.
nitpick_ignore_regex = [
    (r"py:.*", r"(datetime|collections|typing|types|enum|dataclasses|abc)\..*"),
    (r"py:.*", r"(str|int|float|bool|bytes|object|list|tuple|dict|None|type|set|Any|Self)"),
    (r"py:.*", r"(Exception|ValueError|LookupError|RuntimeError|TypeError|ABC|StrEnum)"),
    (r"py:.*", r"celery\..*|habeat\.schedules\.registry\._Kind"),
    (
        r"py:.*",
        r"(datetime|timedelta|tzinfo|Iterable|Iterator|Mapping|Sequence|Callable|TypedDict)",
    ),
]

html_theme = "furo"
html_title = f"habeat {version}"
html_static_path = ["site/static"]
html_css_files = ["habeat.css"]
html_logo = html_favicon = "images/logo.svg"
html_search_scorer = str(ROOT / "docs" / "site" / "search_scorer.js")
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "sidebar_hide_name": False,
    "light_css_variables": {"color-brand-primary": "#a85f00", "color-brand-content": "#a85f00"},
    "dark_css_variables": {"color-brand-primary": "#ffb454", "color-brand-content": "#ffb454"},
}
