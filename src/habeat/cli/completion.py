"""Completion of entry names in the shell.

The shell waits for the answer, so it takes about a second at most, and no error is shown: then
there is nothing to complete.

Bash splits words at colons, which many names contain: of ``tenant-7:rep`` it passes on the words
``tenant-7``, ``:`` and ``rep``, and replaces only the last. So the words are joined here, and what
precedes the last colon is cut from the answers.

Bash inserts an answer as it is, without quotes, and so runs a ``$(…)`` in it on Enter. Names may
come from tenants, so only names that mean the same quoted and unquoted are offered, in every shell.
Fish is given "plain,NAME" by click's script for it, and would cut a name at its first comma.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from itertools import islice
from typing import Any

import click
from celery.app.utils import find_app
from click.shell_completion import CompletionItem, split_arg_string

from habeat.client import Client

TIMEOUT_S = 1.0
SHOWN = 200


def name_argument(
    name: str = "name", **more: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """An argument that is the name of an entry, which the shell can complete."""
    return click.argument(name, shell_complete=entry_names, **more)


def entry_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """The names of entries that begin with what is typed, except those that are typed already."""
    typed = ctx.params.get(param.name or "") or ()
    given = {typed} if isinstance(typed, str) else set(typed)
    before = _before_colon()
    return [each for each in _names(ctx, before, incomplete) if before + each.value not in given]


def rest_of_name(ctx: click.Context, incomplete: str) -> list[Any]:
    """What may follow a colon in the name of an entry, for a command whose name is complete."""
    before = _before_colon()
    takes_names = any(param.name in ("name", "names") for param in ctx.command.params)
    return _names(ctx, before, incomplete) if before and takes_names else []


def _names(ctx: click.Context, before: str, incomplete: str) -> list[Any]:
    begin = before if incomplete == ":" else before + incomplete
    try:
        with Client(_app_of(ctx), timeout=TIMEOUT_S) as client:
            names = [entry.name for entry in islice(client.list(prefix=begin), SHOWN)]
    except Exception:  # the user is typing: an error would only spoil the line
        return []
    return [CompletionItem(name[len(before) :]) for name in names if _is_safe(name)]


def _is_safe(name: str) -> bool:
    """Whether every shell passes the name on unchanged, and no command reads it as an option.

    Zsh replaces a word that begins with "=" by the path of a program.
    """
    if _is_shell("fish") and "," in name:
        return False
    return shlex.quote(name) == name and not name.startswith(("-", "="))


def _is_shell(name: str) -> bool:
    return os.environ.get("_CELERY_COMPLETE", "").startswith(name)


def _before_colon() -> str:
    """What bash has split off the word that is typed: up to its last colon, or ""."""
    if not _is_shell("bash"):
        return ""
    words = split_arg_string(os.environ.get("COMP_WORDS", ""))
    at = int(os.environ.get("COMP_CWORD") or 0)
    if at < len(words) and words[at] == ":":
        at += 1
    parts: list[str] = []
    while at >= 2 and words[at - 1 : at] == [":"]:
        parts[:0] = [words[at - 2], ":"]
        at -= 2
    return "".join(parts)


def _app_of(ctx: click.Context) -> Any:
    """The app that ``-A`` names; while the shell completes, Celery has not looked it up yet."""
    root = ctx.find_root()
    found = root.params.get("app") or getattr(root.obj, "app", None)
    return find_app(found) if isinstance(found, str) else found
