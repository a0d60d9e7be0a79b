"""The suites of habeat; README.md beside this file says where a new test belongs."""

from pathlib import Path

#: The checkout, and its documentation.
ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
