"""`make types` installs mypy and pyright; where one is missing, its module is left out."""

from __future__ import annotations

from importlib.util import find_spec

_CHECKED_BY = {"test_types.py": "mypy", "test_pyright.py": "pyright"}

collect_ignore = [module for module, checker in _CHECKED_BY.items() if not find_spec(checker)]
