"""References from annotations lead to public names, wherever the code has its home.

An annotation says `habeat.client.many.ManyChanged`, the reference has `habeat.client.ManyChanged`.
"""

from __future__ import annotations

import re
import typing
from importlib import import_module
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

_ERROR = re.compile(r"\b(" + "|".join(import_module("habeat.errors").__all__) + r")\b")
MODULES = ("habeat", "habeat.client", "habeat.schedules", "habeat.testing", "habeat.errors")


def setup(app: Sphinx) -> dict[str, object]:
    """Called by Sphinx."""
    app.connect("missing-reference", _resolve)
    app.connect("autodoc-process-signature", _parsable)
    app.connect("autodoc-process-docstring", _link_errors)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _homes() -> dict[str, str]:
    """The public name of each public class by the name of its home."""
    found: dict[str, str] = {}
    for module in MODULES:
        there = import_module(module)
        for name in there.__all__:
            value = getattr(there, name)
            home = getattr(value, "__module__", None)
            if isinstance(value, type) and home:
                found.setdefault(f"{home}.{value.__qualname__}", f"{module}.{name}")
            elif isinstance(value, typing.TypeVar):
                found.setdefault(name, f"{module}.{name}")
    return found


def _parsable(
    app: Sphinx, what: str, name: str, item: Any, options: Any, signature: str | None, returns: str
) -> tuple[str | None, str]:
    """The default of a dataclass's field that a function makes is not a Python expression."""
    return signature and signature.replace("<factory>", "..."), returns


def _link_errors(
    app: Sphinx, what: str, name: str, item: Any, options: Any, lines: list[str]
) -> None:
    """The name of an error in a docstring leads to it, unless it is set as code."""
    link = r":py:class:`~habeat.errors.\1`"
    for at, line in enumerate(lines):
        parts = re.split(r"(`.*?`)", line)
        parts[::2] = [_ERROR.sub(link, part) for part in parts[::2]]
        lines[at] = "".join(parts)


def _resolve(app: Sphinx, env: Any, node: nodes.Element, contents: nodes.Element) -> Any:
    target = _homes().get(node.get("reftarget", "")) if node.get("refdomain") == "py" else None
    if target is None:
        return None
    domain = env.domains["py"]
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", target, node, contents)
