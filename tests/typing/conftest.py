"""mypy comes with the tools of `make lint`; where it is missing, `make types` has this checked."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore = [] if find_spec("mypy") else ["test_types.py"]
